// Package wire is the connection layer: it accepts sockets, upgrades them to
// WebSockets (RFC 6455), and hands whole messages to a [Handler]. It knows
// nothing of what the messages mean.
//
//	            accept          adopt                        frames
//	listener ─────────► Server ───────► Loop ◄───── epoll ─────────► Handler
//	                      │              ▲  │                          │
//	                      │ TLS, other   │  └──────── one write ◄──────┘ Send
//	                      │ systems      │ inbox
//	                      └──────────► netConn (a goroutine reads)
//
// A [Server] has one [Loop] per core. A loop is one goroutine that owns its
// connections: all calls of a Handler for a [Conn], and all methods of that
// Conn, are made there, and there are no locks. Other goroutines reach a loop
// through [Loop.Post].
//
// # An iteration
//
// A loop sleeps until sockets have events, somebody posts, or a timer is due.
// Then, in this order: what the sockets have brought is parsed and handed out;
// posted functions run; connections that asked for another turn get it; timers
// run; Closed is called for what has ended; Flush; and last, each connection
// that has something to write writes it, in one system call. No connection,
// inbox or timer slot can make an iteration long: each has a budget, and goes
// on in the next.
//
// # A connection
//
//	Proxy ──► Handshake ──► Open ──► Closing ──► Draining ──► Closed
//	             │           └───────────────────────▲
//	             └──► refused, or plain HTTP ────────┘
//
// Closing waits for the peer's close frame after ours; Draining writes what is
// left, ends our half of the stream and drops what still comes (RFC 6455
// §7.1.1). conn_close.go has the transitions. Of the states before Open the
// handler sees nothing but Upgrade.
//
// # Borrowing
//
// The bytes that Message and Pong get lie in the loop's read buffer, or in the
// one that the message was put together in, and are used again after the call.
// Under the race detector they are overwritten then, so that keeping them
// fails a test. What Send gets it copies.
//
// # Bounds
//
// Every one is an [Options] field, has a [Drop] that counts who ran into it,
// and a test in limits_test.go, handshake_test.go or write_test.go. A bound
// that the peer runs into closes with a code: 1002 and 1007 for what RFC 6455
// forbids, 1009 too big, 1008 too many fragments, 1013 out of memory, 4408 too
// fast, 4409 too slow; before the upgrade with an HTTP status: 400, 426, 429,
// 431, 503.
//
// # Conformance
//
// conformance_test.go and its neighbours have the rules of RFC 6455 and RFC 7692
// as cases named by section, run on every transport, whole and cut in pieces:
// what was valid before a violation is answered, in order; then the close frame
// has the code that the violation calls for; then the stream ends, without a
// reset. The program wireecho serves the same layer as a plain echo, so that
// public suites can be run against it.
//
// # Design
//
// Epoll, and not a goroutine per connection: an idle connection is a struct of
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
// goroutine. Rejected: a thread in epoll_wait for each loop, which the
// scheduler must hand its P back and forth with for every wait; and Go's poller
// alone, which has no way to wait for many descriptors.
//
// Wake-ups and timers are the read deadline of that registration: no eventfd,
// no timer descriptor, and waking costs no system call. A loop that is awake is
// not woken.
//
// All system calls of the loops are raw. Through package syscall each one tells
// the scheduler, and after a quiet moment wakes the runtime's monitor thread:
// that was 16 % of an upgrade. A socket that cannot block needs neither.
//
// Accepted sockets inherit TCP_NODELAY and keepalive from the listener, which
// saves two calls on each. One goroutine accepts for all loops: with every loop
// watching the listener a nested epoll instance cannot be woken exclusively,
// and all would run for each connection.
//
// Edge-triggered, with EPOLLOUT only from the first time on that the kernel was
// full. A read that does not fill the buffer has emptied the socket, so there
// is no second read to find EAGAIN, unless the peer's end was announced.
//
// Frames are parsed where they were read. A message that came whole in one
// frame is unmasked in place and handed out without a copy; only what is
// incomplete moves to a buffer of the connection, which grows with the bytes
// that have come and never with a declared length.
//
// Text is checked as it comes, so that a wrong byte fails the connection
// before its message ends; utf8.Valid does the work, since it takes ASCII eight
// bytes at a time, where a state machine takes one.
//
// Buffers lie in a free list of the loop by size, and what a second did not
// need is dropped. sync.Pool costs more a use, and is emptied by collections
// at the worst moments.
//
// ws.Upgrader answers the handshake, over bytes that lie in memory: by itself it
// reads from the socket without bound on size or time, and loses frames that
// follow in the same segment. The head is parsed once before, more strictly,
// to tell an upgrade from plain HTTP and to look up fields.
//
// Plain HTTP goes to net/http with the bytes that were read, one request a
// connection: were it kept alive, a proxy could send an upgrade as its next
// request, and net/http would have the socket.
//
// permessage-deflate never keeps context, in either direction, so a connection
// holds no state and one inflater serves a loop. A smaller window that the
// client asks for is met by compressing in pieces of that size.
//
// TLS is crypto/tls, whose reads block: a goroutine reads each connection and
// hands the loop what it has read, then waits for the loop's word, which makes
// Pause work and keeps the bytes borrowed. A second goroutine writes, while
// there is something to write.
package wire
