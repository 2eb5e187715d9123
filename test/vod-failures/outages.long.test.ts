/** Every scene. */
process.env.TEST_WHOLE = "1";
await import("./outages.servers.test.ts");
