/** Writes one text after the other over a file, until it is killed. Each holds one letter, 1 to 8,000,000 times. */
import { writeKept } from "./kept-file.ts";

const [, , path = "", seed = "0"] = process.argv;
for (let count = Number(seed); ; count += 1) {
  const letter = String.fromCharCode(97 + (count % 26));
  const sizeBytes = 1 + ((count * 2_104_729) % 8_000_000);
  await writeKept(path, `${sizeBytes} ${letter.repeat(sizeBytes)}`);
  if (count === Number(seed)) process.stdout.write("written\n");
}
