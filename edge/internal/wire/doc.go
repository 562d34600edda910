// Package wire is the connection layer: it accepts sockets, upgrades them to
// WebSockets (RFC 6455), and hands whole messages to a [Handler]. It knows nothing
// of their meaning.
//
//	            accept          adopt                        frames
//	listener ─────────► Server ───────► Loop ◄───── epoll ─────────► Handler
//	                      │              ▲  │                          │
//	                      │ TLS, other   │  └──────── one write ◄──────┘ Send
//	                      │ systems      │ inbox
//	                      └──────────► netConn (a goroutine reads)
//
// A [Server] has one [Loop] per core. A loop is one goroutine that owns its
// connections, so there are no locks.
//
// # Goroutines
//
//   - The loop of a connection makes all calls of the Handler for it, and all
//     methods of [Conn] and [Timer] must be called there, but for Conn.Loop.
//   - Any goroutine may call [Loop.Post] and [Loop.PostWait], which run a function
//     on the loop, [Loop.Index], and the methods of Server.
//   - A netConn has goroutines of its own, which reach the loop through its inbox;
//     a Handler never meets them.
//   - net/http serves plain HTTP on its own goroutines.
//
// # An iteration
//
// A loop sleeps until a socket has an event, a task arrives in its inbox, or a
// timer is due. Then it does the following, in this order:
//
//  1. parses the bytes of the sockets and hands out messages;
//  2. runs posted functions;
//  3. gives another turn to the connections that asked for one;
//  4. fires timers;
//  5. calls Closed for the connections that have ended;
//  6. calls Flush;
//  7. writes, in one system call for each connection that has a queue.
//
// No connection, inbox or timer slot can make an iteration long: each has a
// budget, and goes on in the next one.
//
// # A connection
//
//	Proxy ──► Handshake ──► Open ──► Closing ──► Draining ──► Closed
//	             │           └───────────────────────▲
//	             └──► refused, or plain HTTP ────────┘
//
// A Closing connection waits for the peer's close frame after ours. Messages that
// come before it are dropped, or taken ([Conn.TakeRest]). A Draining one writes its
// queue, ends our half of the stream and drops everything that still comes (RFC 6455
// §7.1.1). conn_close.go has the transitions. Before Open the handler gets no call
// but Upgrade.
//
// Two switches are independent of the state. [Conn.Pause] stops the reading, and
// Resume goes on. [Conn.Freeze] stops the writing, and Thaw goes on; it is for
// [Handler.Stalled].
//
// # Borrowing
//
// The bytes that Message and Pong get lie in the loop's read buffer, or in the
// buffer in which the message was put together, and are used again after the
// call. Under the race detector the loop then overwrites them, so that code which
// keeps them fails a test. Send copies its arguments.
//
// # Bounds
//
// Each bound is a field of [Options], has a [Drop] that counts the connections
// which ran into it, and a test in limits_test.go, handshake_test.go or
// write_test.go. A connection that runs into a bound is closed with a code: 1002
// and 1007 for violations of RFC 6455, 1009 too big, 1008 too many fragments, 1013
// out of memory, 4408 too fast; or, before the upgrade, with an
// HTTP status: 400, 405, 408, 426, 429, 431, 503, 505.
//
// # Conformance
//
// conformance_test.go and its neighbours have the rules of RFC 6455 and RFC 7692
// as cases named by section. They run on every transport, with the input whole
// and cut in pieces. Whatever was valid before a violation is answered, in order;
// then comes a close frame with the code that the violation calls for; then the
// stream ends, without a reset. The program wireecho serves this layer as a plain
// echo, so that public suites can be run against it.
//
// # Design
//
// Epoll, and not a goroutine for each connection: an idle connection is a struct of
// 176 bytes and a word in a table, 0.22 KB of resident memory at 19,000 as at
// 100,000 connections, against 6 KB for one that a goroutine reads, 10 KB for
// gws and 16 KB for gorilla. A forced garbage collection with 19,000 costs
// 1.1 ms of CPU more than with none (3.1 and 2.0), where gws' costs 87 ms more.
//
// Against peers in one run, CPU of the server's process, 1,000 connections,
// 128 bytes, medians of three rounds, from several runs: an echo 1.09 to 1.14 of
// a raw epoll TCP echo, which does nothing but one read and one write, and 0.70
// to 0.75 of gws, of which the raw one is 0.69; eight pushes at once 0.13 of a
// single one each (gws 0.46), being one write; an upgrade 0.44 to 0.57 of gws.
// While 5,000 slow handshakes, 100 clients that never read, fragment
// bombs, frames of 16 GiB and endless headers go on, others' echo takes 0.31 ms
// in place of 0.29 at the median, in 80 MB. In integration/bench/wire:
//
//	go run .                                           echo, push, upgrade, idle, collection
//	go run . -conns 0 -idle 100000 -only wire-epoll    sharded over processes
//	go run . -abuse
//
// The epoll descriptor is itself in Go's poller, so a sleeping loop is a parked
// goroutine. Rejected: a thread in epoll_wait for each loop, because then the
// scheduler hands the thread's P back and forth for every wait; and Go's poller
// alone, which cannot wait for many descriptors.
//
// The read deadline of that registration serves for wake-ups and timers. There is
// no eventfd and no timer descriptor, and a wake-up costs no system call. A loop
// that is awake is not woken.
//
// All system calls of the loops are raw. Through package syscall each one informs
// the scheduler, and after a quiet moment wakes the runtime's monitor thread,
// which was 16 % of an upgrade. A socket that cannot block needs neither.
//
// Accepted sockets inherit TCP_NODELAY and keepalive from the listener, which
// saves two calls on each. One goroutine accepts for all loops. Rejected: every
// loop watches the listener, because a nested epoll instance cannot be woken
// exclusively, and all loops would run for each connection.
//
// Epoll is edge-triggered, with EPOLLOUT only from the first time on that the
// kernel was full. A read that does not fill the buffer has emptied the socket, so
// there is no second read to find EAGAIN, unless the peer's end was announced.
//
// Frames are parsed where they were read. A message that came whole in one frame is
// unmasked in place and handed out without a copy. Only an incomplete one moves to
// a buffer of the connection, which grows with the bytes that have come and never
// with a declared length.
//
// Text is checked as it comes, so that a wrong byte fails the connection before
// the message ends. utf8.Valid takes ASCII eight bytes at a time, where a state
// machine takes one.
//
// Free buffers lie in lists of the loop by size, and those that were not needed for
// a second are dropped. Rejected: sync.Pool, which costs more for each use, and is
// emptied by collections at the worst moments.
//
// The handshake is parsed and answered here. Rejected: ws.Upgrader, which reads from
// the socket without bound on size or time, loses frames that follow in the same
// segment, and takes one of several field lines for the whole list; and net/http's
// parser, which needs a goroutine and a reader for each connection.
//
// Its answer can wait for the first message (Hold), which saves a system call, a segment
// and a wake-up of the peer: 8 to 14 of 60 µs that a node has for a resume.
//
// Plain HTTP goes to net/http with the bytes that were read, and for good. An upgrade
// that follows on such a connection is written out again and given to a loop.
//
// permessage-deflate never keeps context, in either direction, so a connection has
// no state and one inflater serves a loop. If a client asks for a smaller window,
// messages are compressed in pieces of that size.
//
// TLS is crypto/tls, whose reads block. One goroutine reads each connection, hands
// the bytes to the loop, and waits for its command: that makes Pause work, and
// keeps the bytes borrowed. A second goroutine writes while there is something to
// write.
package wire
