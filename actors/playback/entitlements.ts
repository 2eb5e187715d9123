/** Whether a viewer may play a title: asked before each session. */
export interface EntitlementQuestion {
  readonly tenantId: string;
  readonly titleId: string;
  /** In the tenant's own words; null: it named none. */
  readonly viewer: string | null;
}
export type Entitlement = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

export interface Entitlements {
  check(question: EntitlementQuestion): Promise<Entitlement>;
}

/** The tenant decides: who asks with its key has looked at its viewer's rights. */
export const tenantDecides: Entitlements = { check: async () => ({ allowed: true }) };
