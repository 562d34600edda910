// Package harness runs Hydrant as its users run it: the binaries, built once,
// as processes of their own on loopback, with real sockets between them. It
// starts, freezes, kills and restarts nodes and NATS servers, speaks UMF over
// WebSocket as an old or an acked client does, stands between two of them as
// a faulty network, and watches every subject.
//
// Nothing here imports the packages under test: what a message means is
// decided by this package's own small reading of the protocol, so that a mistake
// in umf cannot hide itself. For the same reason [Client] is a socket and not edge/client's:
// that shows neither the welcome nor a sequence, drops what comes again, and comes back by
// itself, all of which tests look at. Where messages are only load, and what counts is what
// a program gets in the end, tests use edge/client: see integration/chaos, integration/deploy.
//
// # Waiting
//
// No test sleeps. A process is ready when its own readiness check says so; a
// message has arrived when it is in the inbox; "nothing came" is shown by a
// fence, which is something later in the same order that did come. Deadlines
// ([Patience]) only end a test that would hang.
//
// # Environment
//
// HYDRANT_TEST_BIN names a directory with ready-made hydrant and natsd
// binaries; without it they are built into a temporary directory. When the
// tests are built with -race, so are the binaries, and a data race that a
// process reports fails the run. HYDRANT_SEED repeats the random choices of
// an earlier run (it is printed at the start of each).
//
// # Design
//
// Processes get an environment made from nothing but what the test names:
// Hydrant refuses EDGE_ variables that it does not know, and a developer's own
// must not leak in. Children die with the test process (Linux: the parent
// death signal, sent from a thread that lives as long as the process, since
// the kernel ties the signal to the thread that forked).
//
// Ports come from below the ephemeral range, at random: a port that the kernel
// gave out and took back may be some other connection's local port by the time
// a server wants to listen on it, and a server must find its port again after
// a restart.
package harness

import "time"

// Patience is how long a wait may take before its test gives up. It is a
// safety net for a loaded machine and never a measurement.
const Patience = time.Minute * slowness
