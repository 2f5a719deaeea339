import { z } from "zod";

/** Where objects under a prefix are copied; `deletes` makes deletes follow. */
export const replicationRuleSchema = z.strictObject({
  prefix: z.string(),
  destinations: z.array(z.string().min(1)),
  deletes: z.boolean().default(false),
});

export type ReplicationRule = z.input<typeof replicationRuleSchema>;

export interface ReplicationRules {
  /** Regions that get a copy of the key's object. */
  copiesTo: (bucket: string, key: string) => string[];
  /** Regions that hear of its deletion. */
  deletesTo: (bucket: string, key: string) => string[];
}

/**
 * The rule with the longest prefix decides alone, so that an exception with no destinations holds an
 * area back. A key without a rule goes nowhere.
 * @param bucket the only bucket that replicates
 */
export function createReplicationRules(bucket: string, rules: ReplicationRule[]): ReplicationRules {
  const longestFirst = rules.toSorted((a, b) => b.prefix.length - a.prefix.length);
  const ruleFor = (inBucket: string, key: string) =>
    inBucket === bucket ? longestFirst.find((rule) => key.startsWith(rule.prefix)) : undefined;
  return {
    copiesTo: (inBucket, key) => ruleFor(inBucket, key)?.destinations ?? [],
    deletesTo: (inBucket, key) => {
      const rule = ruleFor(inBucket, key);
      return rule?.deletes ? rule.destinations : [];
    },
  };
}
