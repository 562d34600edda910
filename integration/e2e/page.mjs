// What a test sees of a client, in a browser and in Node: the client, and all that it
// has told.
export function page(connect, defaults = {}) {
  const seen = { messages: [], gaps: [], errors: [], states: [], sessions: [] };
  const outcomes = {}; // by name: of what was handed over, as often as there was one
  const told = (name, outcome) => (outcomes[name] ??= []).push(outcome);
  const page = {
    seen,
    outcomes,
    client: undefined,
    start(urls, options = {}) {
      const client = (page.client = connect(urls, { ...defaults, ...options }));
      client.on("message", (m) => seen.messages.push(m));
      client.on("gap", (gap) => seen.gaps.push(gap));
      client.on("error", (error) => seen.errors.push(String(error.code ?? error)));
      client.on("state", (state, why) => seen.states.push(why ? `${state} ${why.code} ${why.message}` : state));
      client.on("session", (session) => seen.sessions.push(session));
      return true;
    },
    send(name, to, body, options) {
      page.client.send(to, body, options).then(
        () => told(name, "accepted"),
        (error) => told(name, error.code ?? String(error)),
      );
      return true;
    },
    request(name, to, body, options) {
      page.client.request(to, body, options).then(
        (m) => told(name, m.bdy),
        (error) => told(name, error.code ?? String(error)),
      );
      return true;
    },
    count: () => seen.messages.length,
    numbers: () => seen.messages.map((m) => m.bdy.n),
    look: () => ({ state: page.client?.state, session: page.client?.session, count: seen.messages.length, states: seen.states.slice(-20), errors: seen.errors.slice(-9), gaps: seen.gaps, outcomes: Object.keys(outcomes).length }),
  };
  return page;
}
