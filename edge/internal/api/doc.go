// Package api is the router API of a node, and its HTTP: plain requests on the
// clients' port, and the administrators' listener. It asks its node through one
// struct ([Node]) and NATS through four small interfaces ([NATS]). It knows no
// loop and no client.
//
// # The router API
//
// Clients reach it as a message to hydra-router:[GET]/v1/router/… with any method
// ([API.Route]), and over HTTP as GET /v1/router/… on either listener. Over HTTP
// the data is in the result of an envelope:
//
//	{"statusCode":200,"statusMessage":"OK","statusDescription":"…","result":…}
//
//	route                 who    answer
//	version               open   {"version":"…"}
//	health                open   this node: its process, connections, and the parts that keep it from being ready
//	stats                 open   this node: messages, bytes and errors since its start
//	list/nodes            open   every node, and every instance of a service
//	list/services         open   the instances of each service
//	list/routes           open   the routes of each service, and the router's own
//	list/wsdir            admin  sessions, and the nodes that hold their sockets; at most 10,000
//	log                   admin  the last messages of type log
//	refresh[/service]     admin  {}
//	clear                 admin  empties that log; over HTTP 302 to /
//
// Every client may use an open route; with EDGE_ROUTER_API=admin, administrators
// only. An administrator has EDGE_ADMIN_TOKEN as bearer token: in the field
// Authorization, or in aut of a message. On the administrators' listener every
// caller is one.
//
// The lists come from NATS. Before the node serves they are answered with 503.
//
// # The clients' port
//
// Beside the router API:
//
//	GET  /healthz              200 while the process runs
//	GET  /readyz               {"ready":true,"reasons":[]}: 200, or 503 and the parts that are not ready
//	POST /v1/router/send       passes a message on to a service, or stores it for a session
//	POST /v1/router/queue      stores work for a service, or a message for a session
//	POST /v1/router/message    asks a service, and answers with the body of its answer
//
// All of it but the first two asks for what connecting asks for. With EDGE_AUTH these
// are the credentials of a client ([access.FindToken], without a subprotocol; a cookie
// counts only with an Origin), and services get its identity; with EDGE_HTTP_API=key
// it is a key of EDGE_HTTP_KEYS_FILE; with EDGE_HTTP_API=off nothing of it is there.
// Administrators show their token instead.
//
// A POST has a UMF message as its body, in short or long form. It goes to its
// forward, or else to its to. The rules of who posts hold (package policy): of a
// client those of its token or of the service's verdict, of a key its own, else
// EDGE_POLICY; for administrators those that are open. send and queue answer with the
// mid. What is posted again with its mid, from and content is stored once in a minute,
// as a client's message is. send to a service tells whether an instance took it from
// NATS, and waits for no answer. What is wrong:
//
//	400   no UMF message, a wrong signature, no address, or the router's own
//	401   no credentials, or wrong ones
//	403   a page from an origin that may not connect, or a message that the rules do not allow
//	404   to a session that does not exist; EDGE_HTTP_API=off
//	413   a body over EDGE_MAX_MESSAGE, or more than NATS takes
//	503   no connection to NATS, no instance of the service, short of memory, too many signed messages, or
//	      credentials that cannot be checked now
//	4xx, 5xx   what a service of NATS' own framework says; 502, if it says no status
//	504   no answer in EDGE_REQUEST_TIMEOUT; send and queue: not confirmed as stored, which it may be
//
// # The administrators' listener
//
// Beside the router API, with every route:
//
//	GET  /healthz              as above
//	GET  /readyz               as above, why each part is not ready, and "warnings"
//	GET  /metrics              Prometheus
//	GET  /debug/pprof/…        package net/http/pprof
//	POST /drain                begins a drain: 202. Guarded
//	GET  /loglevel             {"level":"info"}
//	PUT  /loglevel             sets it to the body. Guarded
//
// Guarded requests, and clear, need EDGE_ADMIN_TOKEN if it is set. If it is not,
// they are refused to browsers.
//
// # Design
//
// A route that the caller may not use is answered like one that does not exist, so
// that the answer does not tell which routes there are. A longer path is another
// path: neither the end of a path, such as .js, nor the field Host makes a caller an
// administrator, as they did in Hydra Router.
//
// Whoever reaches the administrators' listener is an administrator, since it is
// bound to the machine by default. That includes the browser of an administrator,
// and so every page in it. A page cannot read answers of another origin, but it
// can send, so what changes something is guarded ([API.Admin]). The guard does not
// look at Host or at the host in Origin: a page can have any name resolve to
// 127.0.0.1. It covers clear as well, which is a GET because Hydra Router made it
// one: an <img> sends no Origin, but Sec-Fetch-Site.
//
// Only administrators learn why a part is not ready. A reason may hold addresses
// and names of streams; a load balancer needs the status alone.
//
// A posted message is refused without a connection to NATS. Rejected: to publish
// all the same. nats.go would keep the message for later, and its sender would be
// told 200 without a way to learn whether it went.
//
// What a foreign page may not do over a WebSocket it may not do over HTTP either, so
// the origin is checked here too, also of a GET. Programs send none, and browsers none
// with what an <img> or a link asks for, or a page's own GET; with these they do send
// cookies, which therefore do not count. A POST of text/plain needs no permission of
// ours to be sent by any page, but has an Origin.
//
// EDGE_HTTP_API=key asks for a key also where EDGE_AUTH asks for tokens. Rejected: to
// take either. Who sets it wants HTTP to be for servers.
//
// A node that is short of memory refuses a post before it reads the body; requests
// without a body it answers.
//
// The parts that ask NATS are one value that is there or not ([Node].NATS), and a
// route that needs them gets them as an argument. Rejected: a flag beside fields
// that are nil until it is set, which each handler had to remember.
//
// refresh does nothing, and is there for programs that call it: list/routes asks
// the services each time.
//
// list/wsdir is cut at a bound, and the cut is counted. Rejected: pages. The
// directory has no order to continue in.
package api
