/** The one place where a kind of source is chosen. */
import type { ContentSource } from "./port.ts";
import type { SourceSettings, SourceTools } from "./settings.ts";

/** Opens a source. Nothing is connected yet; the client of a protocol is loaded only here, where it is configured. */
export const openSource = async (settings: SourceSettings, tools: SourceTools): Promise<ContentSource> => {
  switch (settings.kind) {
    case "filesystem":
      return new (await import("./filesystem.ts")).FilesystemSource(settings, tools);
    case "http":
      return (await import("./http.ts")).openHttp(settings, tools);
    case "s3":
      return new (await import("./s3.ts")).S3Source(settings, tools);
    case "ftp":
      return (await import("./ftp.ts")).openFtp(settings, tools);
    case "sftp":
      return new (await import("./sftp.ts")).SftpSource(settings, tools);
    case "scp":
      return new (await import("./scp.ts")).ScpSource(settings, tools);
    case "rsync":
      return new (await import("./rsync.ts")).RsyncSource(settings, tools);
  }
};
