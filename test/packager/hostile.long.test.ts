/** All scenes of hostile.test.ts. */
process.env.TEST_WHOLE = "1";
await import("./hostile.test.ts");
