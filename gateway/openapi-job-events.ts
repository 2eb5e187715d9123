/** The routes of job events in the API reference: they answer with streams, so no contract declares them. */
import { problem } from "./openapi-problem.ts";
import type { JsonSchema } from "./openapi-schemas.ts";

const LAST_EVENT_ID: JsonSchema = {
  name: "Last-Event-ID",
  in: "header",
  required: false,
  description: "The id of the last event that was heard; what changed since is told.",
  schema: { type: "string" },
};
const inQuery = (name: string, description: string): JsonSchema => ({
  name,
  in: "query",
  required: true,
  description,
  schema: { type: "string", minLength: 1, maxLength: 100 },
});

const operation = (id: string, summary: string, parts: JsonSchema): JsonSchema => ({
  operationId: id,
  tags: ["jobs"],
  summary,
  description:
    "Server-sent events: `job` has a whole job each time that it changed, `progress` all of them as one, `end` comes " +
    "when nothing more does. Needs the scope `job:read`.",
  security: [{ apiKey: ["job:read"] }],
  ...parts,
});

const RESPONSES = {
  200: { description: "The events.", content: { "text/event-stream": { schema: { type: "string" } } } },
  204: { description: "To one who comes back: nothing has changed, and nothing more comes." },
  401: problem("`UNAUTHENTICATED`"),
  403: problem("`SCOPE_MISSING`"),
  422: problem("`BAD_INPUT`"),
  429: problem("`JOB_STREAMS_FULL`: too many are watched at once."),
  503: problem("`STARTING`, `SHUTTING_DOWN`, `DATABASE_DOWN`: come again later."),
};

/** By path below `/api/v1`. */
export const JOB_EVENT_PATHS: Readonly<Record<string, JsonSchema>> = {
  "/jobs/events": {
    get: operation("jobEventsOfSubject", "Watch the jobs of a title or an upload", {
      parameters: [
        inQuery("subjectKind", "What the jobs are about: `title`, `upload`."),
        inQuery("subjectId", "Its id."),
        LAST_EVENT_ID,
      ],
      responses: RESPONSES,
    }),
  },
  "/jobs/{jobId}/events": {
    get: operation("jobEvents", "Watch one job", {
      parameters: [
        { name: "jobId", in: "path", required: true, schema: { type: "string", format: "uuid" } },
        LAST_EVENT_ID,
      ],
      responses: { ...RESPONSES, 404: problem("`JOB_NOT_FOUND`") },
    }),
  },
};
