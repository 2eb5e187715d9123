/** An upload node as a process that a test may kill; its settings are JSON in argv, its address its first line. */
import { type NodeSettings, startUploadNode } from "./upload-node.ts";

const settings = JSON.parse(process.argv[2] ?? "") as NodeSettings;
const node = await startUploadNode({ ...settings, isQuiet: process.env.TEST_VERBOSE === undefined });
process.stdout.write(`${node.url}\n`);
