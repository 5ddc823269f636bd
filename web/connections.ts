/** What one connection, one address and all of them may take of the HTTP server. */

import type { Server, ServerOptions } from "node:http";
import { BlockList, isIP, type Socket } from "node:net";

const CONNECTIONS_MAX = 2_000;
const PER_ADDRESS_MAX = 100; // a proxy of ours, which speaks for many, is not counted
const SILENCE = 30_000; // milliseconds; a connection on which nothing moves for this long ends

/** Milliseconds for a head, for a whole request, and between two of them: a slow sender ends like one that sends nothing. */
export const serverOptions: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
};

export function boundConnections(server: Server, trustedProxies: readonly string[], silence = SILENCE): void {
  server.maxConnections = CONNECTIONS_MAX;
  server.setTimeout(silence);
  const proxies = blockList(trustedProxies);
  const open = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress;
    if (!address || proxies.check(address, family(address))) return;
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once("close", () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    if (count > PER_ADDRESS_MAX) socket.destroy();
  });
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits ?? (isIP(address) === 6 ? 128 : 32)), family(address));
  }
  return list;
}

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");
