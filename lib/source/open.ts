/** The one place where a kind of source is chosen. */
import type { ContentSource } from "./port.ts";
import type { SourceSettings, SourceTools } from "./settings.ts";

/** Opens a source. Nothing is connected yet; the client of a protocol is loaded only here, where it is configured. */
export const openSource = async (settings: SourceSettings, tools: SourceTools): Promise<ContentSource> => {
  switch (settings.kind) {
    case "filesystem": {
      const { FilesystemSource } = await import("./filesystem.ts");
      return new FilesystemSource(settings, tools);
    }
    case "http": {
      const { openHttp } = await import("./http.ts");
      return openHttp(settings, tools);
    }
    case "s3": {
      const { S3Source } = await import("./s3.ts");
      return new S3Source(settings, tools);
    }
    case "ftp": {
      const { openFtp } = await import("./ftp.ts");
      return openFtp(settings, tools);
    }
  }
};
