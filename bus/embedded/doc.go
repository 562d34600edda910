// Package embedded runs a NATS server with JetStream inside the process: the
// default for a node on one machine, and what the tests run against.
//
// It is the stock server (nats-server v2) with the few settings that differ
// for an embedded one: signals are left to the process, log lines go to slog,
// the client address defaults to a free loopback port, and the maximum payload
// leaves room for a message of 1 MiB together with what is added to it.
//
//	s, err := embedded.Start(embedded.Options{DataDir: dir, Listen: "127.0.0.1:4222"})
//	...
//	nc, err := bus.Connect(bus.Config{URL: s.URLFor(scheme.UserService)}, "greeter")
//	...
//	err = s.Shutdown(ctx)
//
// It has two users, nodes and services, whose passwords are in the data directory
// (package local): who connects proves to be one of them, on loopback too, since a
// machine may be many people's. What they may do is that of NATS in one account, but for
// services being one user: they can take each other's messages. Who wants them apart runs
// NATS beside Hydrant.
//
// # Design
//
// The server listens on a socket even when only this process uses it, because
// services in other processes and other languages are the point of a bus; with
// NoListen it does not, and Server.InProcess connects over a pipe in memory.
//
// Start fails when JetStream is not available. nats-server itself disables it
// and goes on, for instance if the data directory cannot be written; a node
// would then find out at its first session. The reason is taken from the
// server's log, since the server reports it nowhere else; for the same reason
// its Fatalf is an error here and does not end the process.
//
// For the same reason a server that has disabled JetStream later, since its disk
// failed, tells so by Failed: it never enables it again by itself. The process is then
// to end, and be started again.
//
// Start locks the data directory: nats-server does not, and opens the streams
// before it finds out that its port is taken. A second server in the same
// directory, even one that so failed, left an index behind by which the first
// one, once killed and started again, had lost what it had acknowledged.
//
// Notices of the server ("Listening for client connections…") are logged at
// debug level: they are the log of an implementation detail here.
package embedded
