/** Tells every packager what to let go of, and gathers what each of them says. */
import type { z } from "zod";
import type { purgePackagers } from "../../contracts/fleet.ts";
import { type PurgeTargets, purgePackager } from "../../contracts/packager.ts";
import { type Call, sendTo } from "../../lib/actor/contract.ts";
import { faultOf } from "../../lib/actor/faults.ts";
import { nodesOf } from "../../lib/actor/nodes.ts";

type Answer = z.output<(typeof purgePackagers)["result"]>;

/** A node that does not answer is among the failures: its caches may still serve what was purged. */
export const purgeAll = async (call: Call, targets: z.output<typeof PurgeTargets>): Promise<Answer> => {
  const answer: Answer = { data: { nodes: [] }, failures: [] };
  const tell = async (nodeId: string): Promise<void> => {
    try {
      answer.data.nodes.push({ nodeId, ...(await sendTo(call, nodeId, purgePackager, targets)) });
    } catch (error) {
      const fault = faultOf(error, purgePackager.name, call.broker);
      if (!fault) throw error;
      answer.failures.push({ nodeId, code: fault.code, message: fault.message });
    }
  };
  await Promise.all(nodesOf(call, purgePackager).map(tell));
  return answer;
};
