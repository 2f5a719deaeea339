/** US dollars per second of compute and per second of stored audio; a table, so that deployments can set their own. */
export interface PriceTable {
  cpu_second_usd: number;
}

/** A shared vCPU-second on a small on-demand instance (about $0.04 an hour). */
export const defaultPrices: PriceTable = { cpu_second_usd: 0.0000111 };
