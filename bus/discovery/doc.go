// Package discovery tells which services and nodes are connected to NATS, and
// makes a node known to others.
//
// There is no list of participants anywhere. [Discovery] asks all of them with
// NATS' micro service protocol and takes whatever answers until the answers pause
// for a tenth of a second, or for a second at the most; the second is for those that
// have answered the question before, which may be late. Where no participant is
// connected the server says so; silence alone proves nothing, and is an error.
// Those who ask at the same time share one question, and its result is used again
// for two seconds. What participants tell of their health is a question of its own, put
// only for those who want it.
package discovery
