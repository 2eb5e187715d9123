/** One scene of six in each run of the tests, all of them in long ones. */
import { test } from "node:test";
import { missingServers } from "../support/cluster.ts";
import { noS3 } from "../support/servers-s3.ts";
import { leftOut } from "../support/share.ts";
import { databaseAway, disksFull, storeHangs, storeInS3, storeUnplugged } from "./outages.suite.ts";

const missing = (await missingServers()) ?? false;
const skip = (scene: number): string | false => missing || leftOut(scene, { of: 6, plays: 1 });

test("an object store whose disk is unplugged is waited for", { skip: skip(0) }, (t) => storeUnplugged(t, "nothing"));

test(
  "an object store whose disk is not mounted is waited for, and not taken for an empty one",
  {
    skip: skip(1),
  },
  (t) => storeUnplugged(t, "an empty folder"),
);

test("full disks are waited for", { skip: skip(2) }, disksFull);

test("a title goes its whole way in S3, and over an outage of it", { skip: skip(3) || noS3 }, storeInS3);

test("a database that is away for ten seconds costs no transcode", { skip: skip(4) }, databaseAway);

test("an S3 server that hangs for a while costs no title", { skip: skip(5) || noS3 }, storeHangs);
