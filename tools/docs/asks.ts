import { type AskGraph, readAskGraph } from "../source/ask-graph.ts";
import { code, page, table } from "./markdown.ts";

const list = (words: readonly string[]): string => words.join(", ") || "nobody";

const drawing = ({ edges }: AskGraph): string => {
  const lines = [...edges].flatMap(([from, to]) => to.map((one) => `  ${from} --> ${one}`));
  return ["```mermaid", "flowchart LR", ...lines.sort(), "```"].join("\n");
};

const asksOf = (graph: AskGraph, actor: string): string =>
  table(
    ["ask", "REST", "deadline", "may be repeated", "asked by", "errors"],
    graph.asks
      .filter(({ answeredBy }) => (answeredBy ?? "nobody") === actor)
      .map(({ is, askedBy }) => [
        code(is.name),
        is.rest ? code(`${is.rest.method} ${is.rest.path}`) : "",
        `${is.deadlineMs / 1000} s`,
        is.retriable ? "yes" : "",
        list(askedBy),
        is.errors.map(code).join(" "),
      ]),
  );

/** docs/asks.md: what actors ask and tell each other, from the contracts and from the code that uses them. */
export const asksPage = async (): Promise<string> => {
  const graph = await readAskGraph();
  const actors = [...new Set(graph.asks.map(({ answeredBy }) => answeredBy ?? "nobody"))].sort();
  const facts = table(
    ["fact", "told by", "heard by"],
    graph.facts.map(({ is, announcedBy, heardBy }) => [code(is.name), list(announcedBy), list(heardBy)]),
  );
  return page(
    "Asks and facts",
    "An ask is an order with an answer and a deadline; a fact is news. Asks form a graph without cycles, which a test " +
      "holds; facts may go anywhere. An arrow reads “asks”. REST paths are below `/api/v1`.",
    drawing(graph),
    ...actors.flatMap((actor) => [`## Answered by ${actor}`, asksOf(graph, actor)]),
    "## Facts",
    facts,
  );
};
