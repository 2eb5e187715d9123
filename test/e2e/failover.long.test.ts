/** Every scene; Chromium and the servers must be there. */
process.env.TEST_WHOLE = "1";
await import("./failover.servers.test.ts");
