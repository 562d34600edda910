// Package api is the router API of a node, and its HTTP: plain requests on the
// clients' port, and the administrators' listener. It asks its node through one
// struct ([Node]) and NATS through four small interfaces ([NATS]). It knows no
// loop and no client.
//
// # The router API
//
// Clients reach it as a message to hydra-router:[GET]/v1/router/… ([API.Route]), and
// over HTTP as /v1/router/… on either listener, with any method. Over HTTP the data is in
// the result of an envelope, and of what is refused the reason:
//
//	{"statusCode":200,"statusMessage":"OK","statusDescription":"…","result":…}
//	{"statusCode":404,"statusMessage":"Not Found","statusDescription":"…","result":{"reason":"…"}}
//
//	route                 who    answer
//	version               open   {"version":"…"}
//	health                open   this node: its process, connections, and the parts that keep it from being ready
//	stats                 open   of each service 3,600 numbers: what it got by second in the last hour, over HTTP
//	                             (httpStats), WebSocket (wsStats), and what failed (errorStats; under * what was
//	                             for services that nobody runs); and this node's sums since its start
//	openapi.json          open   an OpenAPI 3.1 document, over HTTP without an envelope
//	list/nodes            open   a row for each node and each instance of a service; over HTTP instanceID, hostname and
//	                             version of who answers stand beside the result
//	list/services         open   the same rows with the health of each process
//	list/routes           open   [{"serviceName":"…","routes":["[get]/v1/…"]}], with the router's own
//	list/wsdir            admin  sessions, and the nodes that hold their sockets; at most 10,000
//	log                   admin  the last messages of type log
//	refresh[/service]     admin  forgets the routes of services that are gone: {}
//	clear                 admin  empties that log; over HTTP 302 to /
//
// Every client may use an open route; with EDGE_ROUTER_API=admin, administrators
// only. An administrator has EDGE_ADMIN_TOKEN as bearer token: in the field
// Authorization, or in aut of a message. Others are told so: 401, or an error with the
// code forbidden; where too many tokens were wrong 429, or overload. Whoever gets in at the
// administrators' listener is one.
//
// The lists come from NATS. Before the node serves they are answered with 503.
//
// # The clients' port
//
// Beside the router API:
//
//	GET  /healthz              200 while the process runs
//	GET  /readyz               {"ready":true,"reasons":[]}: 200, or 503 and the parts that are not ready
//	GET  /hydrant.js           the client for pages, to anybody; OPTIONS of it is 204
//	…    a page of the program ([Node.Pages]), which a node that is served has not
//	POST /v1/router/send       passes a message on to a service, or stores it for a session
//	POST /v1/router/queue      stores work for a service, or a message for a session
//	POST /v1/router/message    asks svc:[METHOD]/path, and answers with the body of its answer
//	…    any other path        is a request to a service: see below
//	OPTIONS                    of anything: 204
//
// Pages of origins that may connect can read the answers (CORS), with credentials.
//
// All of it but the first three asks for what connecting asks for. With EDGE_AUTH these
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
//	429   above the rate of a user or an address; too many wrong tokens of administrators
//	403   a page from an origin that may not connect, or a message that the rules do not allow
//	404   to a session that does not exist; EDGE_HTTP_API=off
//	413   a body over EDGE_MAX_MESSAGE, or more than NATS takes
//	503   no connection to NATS, no instance of the service, short of memory, too much under way, too many
//	      signed messages, or credentials that cannot be checked now
//	4xx, 5xx   what a service of NATS' own framework says; 502, if it says no status
//	504   no answer in EDGE_REQUEST_TIMEOUT; send and queue: not confirmed as stored, which it may be
//
// # Requests by path
//
// Services register routes, in the metadata umf.route of an endpoint in $SRV.INFO:
// "[GET]/v1/users/{id} [post]/v1/users", where {id}, or :id, stands for one segment, and
// a route without a method for all of them. A path is looked for among them as it is, and
// then, if it begins with the name of a service, among that one's without the name. Of
// services with the same route the first by name gets the request. HEAD is a GET without
// a body where no route has it.
//
// The service gets the message that a client of a WebSocket would send there:
//
//	{"to":"svc:[GET]/v1/users/7?x=1","frm":"…@hydra-router:/","hdr":{…},"mid":"…","ts":"…","ver":"…","via":"…","bdy":…,"aut":"…"}
//
// hdr has the fields of the request in lower case, but for those of the connection,
// cookies, and those that clients may not write; x-forwarded-for, -proto and -host are
// what the edge knows. aut is the field Authorization, unless that is for the node itself.
// bdy is the body if it is JSON, {} if there is none. Anything else, and JSON that no
// message has as its body (null, false, 0, ""), is base64, with hdr.x-encoding "base64".
// Umf-Identity is as with messages; fields of a request that are called Umf-… or Nats-…
// go no further.
//
// The answer:
//
//	a UMF message               200 and its body in an envelope. If that has "error" and "code", as the kit's
//	                            failures have, the status is that of the code: 400 bad_request, 401 unauthorized,
//	                            403 forbidden, 404 not_found and unsupported, 409 conflict, 503 overload and
//	                            unavailable, a number as it is, else 500. If it is an envelope, as it is
//	with the header Umf-Status  that status, the payload, its Content-Type and other headers, as they are; but for
//	                            those of the connection, of CORS, and Set-Cookie
//	Nats-Service-Error          its status, or 502, and the reason
//
// What else may come:
//
//	400   the body is not the JSON that it says
//	401, 403, 429   as for a POST. With EDGE_SIGNATURE=required 403: what is no message has no signature
//	404   no service has that path. Routes of a service that is gone are kept for an hour, those that it does not
//	      tell any more for half a minute, since who is busy answers late
//	405   none takes that method: Allow says which
//	413   over EDGE_MAX_MESSAGE, or what NATS takes as the message that it becomes
//	414   path and query are longer than an address (umf.MaxAddress)
//	503   no instance of the service, no connection to NATS, too much under way, short of memory
//	504   no answer in EDGE_REQUEST_TIMEOUT
//
// Bodies are in memory, both ways. The connections bound how many requests are under way
// (wire.Options.MaxPlain), and of their bodies, and those of posts, counted twice, there
// is at most a quarter of the memory limit, or 256 MiB without one.
//
// Large bodies, from 64 KiB on, have turns: half as many are worked on at a time as there
// are processors. A turn begins when the body has come, and ends when its answer is
// written, or after the time that the body takes at 32 MiB a second: of a service, or of a
// client, that takes longer, others are not kept waiting. An answer that comes later waits
// for another turn, as does a large one to a small question. A body whose turn does not come
// in EDGE_REQUEST_TIMEOUT is refused with 503. Between two turns there is a rest of a third
// of the time that the first one took, of 2 ms at the most.
//
// # The administrators' listener
//
// Beside the router API, with every route:
//
//	GET  /healthz              as above
//	GET  /readyz               as above, why each part is not ready, and "warnings"
//	GET  /metrics              Prometheus
//	GET  /debug/pprof/…        package net/http/pprof
//	POST /drain                begins a drain: 202
//	GET  /loglevel             {"level":"info"}
//	PUT  /loglevel             sets it to the body
//
// The first three answer everybody. For all else, and for what is not there:
//
//	421   the field Host is neither localhost, nor an address, nor of EDGE_ADMIN_HOSTS; for the first three as well
//	401   not the token; or none is set, and other machines reach the listener
//	429   too many wrong tokens from that address
//	403   no token is set, and a browser asks for a page of others, or to change something (drain, loglevel, clear)
//
// # Design
//
// A route that the caller may not use is told to be one: which there are is no secret,
// and whoever forgot the token learns why. A longer path is another
// path: neither the end of a path, such as .js, nor the field Host makes a caller an
// administrator, as they did in Hydra Router.
//
// Without a token whoever reaches the administrators' listener from this machine is an
// administrator. That includes the browser of an administrator, and so every page in it.
// A page cannot read answers of another origin, but it can send, so it gets nothing, and
// what changes something is refused to all pages (guard). It can also have a name
// of its own resolve to 127.0.0.1, and is then of the same origin. So a name counts only if
// no page can have it; that is asked of health and metrics too, with and without a token.
// The guard covers clear as well, which is a GET because Hydra Router made it one: an
// <img> sends no Origin, but Sec-Fetch-Site.
//
// What needs no token is a list ([open]), so that what is added needs it.
//
// Wrong tokens are bounded by address, and the right one is not looked at either from where
// they are spent: one that is found all the same is no bound. An address can so keep
// administrators behind the same one waiting; the two listeners count apart, and a drain
// can be had by a signal. A token counts as wrong where the right one would have opened
// what is refused. Rejected: wherever one is shown, since those of services come along with
// requests by path; and to answer late instead, which holds connections for whoever guesses.
//
// Only at the administrators' listener is told why a part is not ready. A reason may hold
// addresses and names of streams; a load balancer needs the status alone.
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
// Which routes there are is known from the answers to $SRV.INFO ([catalog]). They are two
// seconds old at the most while they are used, and read beside their use. A path that is
// in none of them is looked for in answers to a question that was put after the request
// came: none is wrong, and it takes the tenth of a second that answers are waited for.
// There is one such question a second and a few at once; where many ask for paths that
// are none, their 404 takes a second.
// A service that is gone keeps its routes for an hour, so that its clients get 503.
// Rejected: to have services announce themselves, which those in other languages do not.
//
// An answer's cookies do not go out: they would be the edge's, of which one is a
// credential. For the same reason services get none.
//
// With EDGE_SIGNATURE=required there are no requests by path: a service relies on it that
// what comes from outside was signed, and the same handler gets both. Rejected: to sign
// them for their senders. POST /v1/router/message takes the signed message
// svc:[METHOD]/path instead.
//
// A turn of a large body ends with its answer. Rejected: with the message that is made of
// it. What follows is NATS' work, the service's and then the node's again, and where they
// share processors dozens of bodies at a time use these up. Beside 64 bodies of 512 KiB
// the p99 of WebSockets was 15 ms, against 9 ms with turns to the end and 5 ms without
// bodies, with all of it on two processors that other programs used as well; bodies came
// back at 85 % of the speed. Rejected, too: turns without a bound, with which a slow
// service keeps all other bodies from theirs; and to read bodies in turn, which a client
// that sends slowly could spend.
//
// A turn is followed by a rest, since the end of one body is work for its client, for NATS
// and in the kernel, which the beginning of the next one would fall together with: on two
// processors there was none left then for a WebSocket's message. Beside bodies as above,
// ahead of all other programs, p99 was 2.4 to 2.6 times that without bodies, and is 1.5;
// 110 bodies a second come back in place of 130. A rest of the whole time of a turn was no
// better, and cost a third of them. Programs that used the processors as much as the bodies,
// and did nothing else, made it 2.1 to 2.6.
//
// Buffers of large bodies, and of the messages that are made of them, are used again. A
// body of 512 KiB made 1.9 MB of garbage, with which collections began with every
// fourteenth of them, and now makes 0.7. Each collection stops the event loops twice, for
// as long as the system keeps one of the node's threads from a processor: on two busy ones
// 4 ms, 2 % of the time.
//
// list/wsdir is cut at a bound, and the cut is counted. Rejected: pages. The
// directory has no order to continue in.
package api
