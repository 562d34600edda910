// Package deploy tests what is in the folder deploy/: the NATS cluster and its
// users against real nodes, the expressions of dashboards and alerts against a
// real node's metrics, a rolling upgrade behind the real HAProxy and under
// Docker, nginx, the systemd unit, and plain HTTP through both proxies by the
// programs that people use, which needs curl, Node.js and Chromium as well. Its
// folder schema is a module that reads what only libraries can judge.
//
// # Design
//
// The files under test are used as they are: the NATS server reads
// deploy/nats/accounts.conf, HAProxy reads deploy/haproxy/haproxy.cfg with
// nothing changed but addresses. A copy of them would be tested instead.
//
// Tests that need a program beyond Go have its name as a build tag: docker,
// haproxy, nginx, prometheus, systemd. They fail, with the command that installs it, if it is missing.
//
// The commands of the operations guide are taken out of it as they stand there, and run
// at the state that it describes: what can be asked of processes by TestGuideNode, what
// needs the compose file by TestDockerGuide (docker.sh guide). A list says for each
// command which test has it, or why none can; a command that it leaves out fails.
//
// That the expressions are PromQL is said by Prometheus' own parser, in the
// module promql.
//
// The rolling upgrade writes a history of package chaos/history and lets
// chaos/check judge it, so "nothing lost, nothing out of order" means the same
// here as everywhere.
package deploy
