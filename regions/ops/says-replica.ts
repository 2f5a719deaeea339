/**
 * Whether Redis refuses a command because this server is not the primary of its keys: READONLY says a plain replica, MOVED one of a
 * cluster. To be asked by a client that then connects anew, by a name behind which there are all nodes.
 */
export function saysReplica(error: Error): boolean {
  return /^(READONLY|MOVED) /.test(error.message);
}
