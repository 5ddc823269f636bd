/** Limits of the HTTP server: for one connection, for one address, and for all connections. */

import type { IncomingMessage, RequestListener, Server, ServerOptions } from "node:http";
import { BlockList, isIP, type Socket } from "node:net";
import { toBits } from "./settings.ts";

const CONNECTIONS_MAX = 2_000; // of all addresses
const PER_ADDRESS_MAX = 100; // connections; all IPv6 addresses with the same first 64 bits are one, and our own proxies do not count
const PIPELINED_MAX = 4; // requests of a connection that have no response yet
const SILENCE = 30_000; // milliseconds; a connection that neither sends nor receives for this long is closed
const STOP_TIMEOUT = 8_000; // milliseconds that a request may still take when the server stops

/**
 * Milliseconds for the headers, for a whole request, between two requests, and between two checks of these limits. A slow
 * sender is cut off like a silent one.
 */
export const serverOptions: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
};

/**
 * Returns a listener that passes on at most `PIPELINED_MAX` requests of a connection at once, and ends a connection that
 * sends more. Node emits all requests that a client has sent, even if the client has read no response.
 */
export function boundPipelines(listener: RequestListener): RequestListener {
  const running = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    const count = running.get(socket) ?? 0;
    if (count >= PIPELINED_MAX) socket.destroy();
    if (socket.destroyed) return;
    running.set(socket, count + 1);
    response.once("close", () => running.set(socket, (running.get(socket) ?? 1) - 1));
    listener(request, response);
  };
}

/**
 * Closes silent connections, those of an address that has too many, and the oldest ones if there are too many in all.
 * Returns a function that stops the server. Its promise resolves when each running request has its response, or has been
 * ended after `stopTimeout`.
 */
export function boundConnections(
  server: Server,
  trustedProxies: readonly string[],
  { silence = SILENCE, connectionsMax = CONNECTIONS_MAX, stopTimeout = STOP_TIMEOUT } = {},
): () => Promise<void> {
  server.setTimeout(silence);
  /** Connections and their running request, or `null`, in the order in which they were opened or last got a response. */
  const requests = new Map<Socket, IncomingMessage | null>();
  const admit = admission(server, requests, connectionsMax);
  const proxies = blockList(trustedProxies);
  const counts = new Map<string, number>(); // open connections, by `networkOf` the address
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress;
    if (!address || proxies.check(address, family(address))) return admit(socket);
    const key = networkOf(address);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    socket.once("close", () => {
      const left = (counts.get(key) ?? 1) - 1;
      if (left === 0) counts.delete(key);
      else counts.set(key, left);
    });
    if (count > PER_ADDRESS_MAX) socket.destroy();
    else admit(socket);
  });
  return async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    // Node waits for connections that have sent nothing, and browsers open such ones in advance.
    for (const [socket, request] of requests) if (!request) socket.destroy();
    const timer = setTimeout(() => server.closeAllConnections(), stopTimeout);
    await closed;
    clearTimeout(timer);
  };
}

/**
 * Returns a function that admits a connection. If there are too many, it closes the one that has been without a complete
 * request for longest. So idle connections cannot block the server.
 */
function admission(
  server: Server,
  requests: Map<Socket, IncomingMessage | null>,
  connectionsMax: number,
): (socket: Socket) => void {
  server.on("request", (request, response) => {
    const { socket } = request;
    requests.set(socket, request);
    response.once("close", () => {
      if (!requests.delete(socket) || socket.destroyed) return;
      if (server.listening) requests.set(socket, null);
      else socket.end(); // Node would wait for its client's next request, up to `keepAliveTimeout`
    });
  });
  return (socket) => {
    if (requests.size >= connectionsMax) {
      const sockets = [...requests.keys()];
      const oldest = sockets.find((each) => !requests.get(each)?.complete) ?? sockets[0];
      oldest?.destroy();
      if (oldest) requests.delete(oldest); // its event `close` comes later
    }
    requests.set(socket, null);
    socket.once("close", () => requests.delete(socket));
  };
}

/** Returns the first 64 bits of an IPv6 address, which is the network of one customer; an IPv4 address unchanged. */
export function networkOf(address: string): string {
  const isIPv6 = isIP(address) === 6 && !address.startsWith("::ffff:");
  return isIPv6 ? toBits(address.split("%")[0] ?? "").slice(0, 64) : address;
}

/** Returns a list that says whether an address is in one of the networks. */
export function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits ?? (isIP(address) === 6 ? 128 : 32)), family(address));
  }
  return list;
}

export const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");
