// Command bench measures whole Hydrant nodes, as processes of their own with
// real sockets and a stock NATS server between them.
//
//	go run ./integration/bench [-only floor,relay,ping,service,client,connect,push,resume,killed,idle,path]
//	                           [-quick] [-rounds 3] [-time 3s] [-profile DIR]
//
// The goals of the design are ratios to Centrifugo. It is measured in the same
// run, with the same clients and loads, if -only names it; its programs and
// Redis are not part of this module:
//
//	apt-get install redis-server
//	go install github.com/centrifugal/centrifugo/v6@v6.9.1
//	go install -C integration/bench/centrifuge-relay .
//	go run ./integration/bench -only service,connect,push,resume,idle,centrifugo
//
// It prints one line for each measurement: the processor time that the nodes,
// NATS and the echo service spent on one message (or connect, or session), the
// rate, the delays, and what was lost, repeated or out of order. Beside it
// stands the goal of the design, where there is one. It ends non-zero when a
// message was lost, repeated or out of order that must not be; a missed goal
// is shown and does not fail, since how fast a machine is says nothing about
// the code.
//
// # Design
//
// Processor time is the figure that counts: it is the process's own CPU clock
// (clock_gettime(2) with the clock of another process), in nanoseconds, ended
// threads and the kernel's work for the process included. Rates and delays
// depend on what else the machine does. -rounds repeats everything and shows
// the median of each figure.
//
// What a message costs at a low rate is mostly waking up, which differs by a
// factor of three with what else the machine does. So two floors are measured
// in the same run: a NATS request without any gateway, and a relay as one would
// write it with libraries. Beside a resume stands what reading the queues takes
// without any gateway, with NATS' own library and a durable consumer for each.
//
// "killed" is "resume" after the sessions' node has died. Beside both stands where the
// messages came from: the memory of the node that had parked the session, a reading for
// many sessions together, or one for each.
//
// Centrifugo does not do the same work. It keeps no session: a client names the
// channels and the places in them that it wants. Its pushes over NATS are not
// stored, and what a client misses is lost (such losses are shown and fail
// nothing; it packs several messages in a frame, each of which counts, and so far
// there were none); what waits for a client comes out of Redis' memory in one answer and
// reaches it in one message, where a node reads a stream on disk message by
// message.
//
// The group "checks" sets what a node asks about each message, measured one by one
// by benchmarks of the packages shard and quota, beside all that it does with one, in the
// same run. Then nodes with limits take turns with nodes without, and NATS servers with
// users and accounts with one that lets everybody do everything. The ratios are those
// within a turn.
//
// The group "attack" sets a good client's delays while another process attacks the node
// for a minute, at the lowest priority, beside those while it sends as many bytes of what
// is permitted.
//
// The group "library", which is measured if -only names it, sets what a round trip through
// package client costs its process beside a WebSocket of the same library: one that a
// goroutine reads, and one that the caller reads; and what 10,000 clients hold that have
// nothing to do.
//
// The group "path" sets a request by path over HTTP beside the same by a WebSocket, and
// beside a reverse proxy of net/http/httputil in front of an HTTP server, in the same run.
// "bodies", which is measured if -only names it, is a minute of bodies of 512 KiB, 64 at
// a time, there and back, and what WebSocket clients feel of them: they are measured with
// and without bodies in turns, of which the report has the ratios. The sender of the bodies
// and the service that answers them give way to all others, as if they were elsewhere; what
// the node and NATS do for the bodies does not. On a machine that has other things to do,
// put "chrt -r 10" in front of a built bench: it then goes ahead of these. It goes ahead of
// the kernel's own threads as well (ksoftirqd), so that a turn may stand still for some
// tenths of a second.
// "nice" in its place is of no use where sessions are groups of the scheduler (autogroup,
// sched(7)): it counts within one only, and p99 without bodies is then that of the others.
// A third turn is beside programs that do nothing but use the processors: as much as the
// bodies made all others use, as often, and at the same priorities. What p99 is beside
// these is what this machine makes of any work, and no node can be better.
//
// "prices" measures what `hydrant size` computes with and prints it, to be put into
// edge/internal/sizing/prices.json. "sizes" sets what that command says of three loads
// beside what they take. Both are measured if -only names them.
//
// Every group of measurements gets new servers, so that none is slowed by the
// streams that another has filled.
//
// Clients are frames written by hand on TCP sockets, in this process: with a
// client library they would take the processors that the nodes are to use. A
// client answers pings, or no message would ever count as delivered. At full
// speed each client keeps a fixed number of messages on the way, and sends
// the next one when one has arrived. At a rate, the senders keep to a schedule
// whatever comes back, so that a stall shows in the delays of all that waited.
//
// One process may have 20,000 descriptors here, which bounds the idle
// sessions of one node. Clients connect from several addresses of loopback, so
// that the ports of none run out.
//
// Memory is RssAnon of proc(5), what the program itself has asked for: as an
// operator finds it some seconds after the last client came. Beside it stands
// what is left of it after garbage collections, and the heap that is in use;
// a Go program holds up to twice that.
package main
