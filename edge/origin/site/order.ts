/** In which order origins are asked. Pure, given the random numbers. */
import { hash } from "node:crypto";

/** Twelve hexadecimal digits: exact as a number. */
const scoreOf = (id: string, key: string): number =>
  Number.parseInt(hash("sha256", `${id.length}:${id}${key}`, "hex").slice(0, 12), 16);

/**
 * Highest random weight first (Thaler and Ravishankar, 1998): each key has its own order, and when one member goes only
 * the keys that it had first move.
 */
export const byRendezvous = <M extends { readonly id: string }>(members: readonly M[], key: string): M[] =>
  members.length < 2
    ? [...members]
    : members
        .map((member) => ({ member, score: scoreOf(member.id, key) }))
        .sort((one, other) => other.score - one.score)
        .map(({ member }) => member);

interface Weighted {
  /** Lower first. */
  readonly order: number;
  /** Share among those of an equal order; with 0 it comes last of them. */
  readonly weight: number;
}

/** By order; within one each is first as often as its weight says (Efraimidis and Spirakis, 2006). */
export const byOrderAndWeight = <M extends Weighted>(members: readonly M[], random: () => number): M[] =>
  members.length < 2
    ? [...members]
    : members
        // 1 − u: u may be 0, and its logarithm then no number to compare.
        .map((member) => ({
          member,
          rank: member.weight > 0 ? -Math.log(1 - random()) / member.weight : Number.POSITIVE_INFINITY,
        }))
        .sort((one, other) => one.member.order - other.member.order || one.rank - other.rank || 0)
        .map(({ member }) => member);
