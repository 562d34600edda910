// Command wire measures the connection layer against its peers: the same echo,
// push and idle work on edge/internal/wire (both transports), a raw epoll TCP
// echo as the floor, gobwas/ws with net/http, gorilla/websocket,
// coder/websocket and lxzan/gws.
//
//	go run . [-only wire-epoll,gws] [-conns 1000] [-idle 19000] [-rounds 3]
//	go run . -conns 0 -idle 100000 -only wire-epoll    sharded over processes
//	go run . -abuse                                    latency of the others
//
// Every server runs in a process of its own, every load generator in another.
// CPU is the server's alone, user and system, from /proc/<pid>/task/*/schedstat
// (nanoseconds, where stat has ticks of 10 ms); memory is its VmRSS after the
// runtime has been asked to give back what it does not need. Rounds alternate
// between the servers and the median counts, so that what else the machine
// does falls on all alike. It is the ratios that mean something.
//
// A nested module, so that the peers are not dependencies of Hydrant.
// wireecho is built from the module around it and run as a program: its
// package is internal, and it is what the conformance suites run against.
package main
