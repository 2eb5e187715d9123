/** Every scene; Chromium and the servers must be there. */
process.env.TEST_WHOLE = "1";
await import("./edge-live.browser.test.ts");
