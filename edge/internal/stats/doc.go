// Package stats is what a node counts: Prometheus' instruments ([Metrics]), the
// numbers of each loop ([Tally]), the collector that adds those up, and the log
// of clients. It knows neither NATS nor the node.
//
// Every label is an enum, and a counter takes values of its own label only:
//
//	m.Dropped.Inc(stats.DropGuesses)
//	m.Errors.Inc(protocol.CodeTimeout)
//
// so that a wrong label does not compile, and no client can make a series. Where
// another package has the enum already (protocol.Code, session.Event, wire.Drop),
// it is the label.
//
// # Design
//
// Counting a message is an addition to a number of its loop's own, which a scrape
// adds up. Rejected: Prometheus' instruments for what happens with each message.
// All loops would write the same cache lines, and a histogram of theirs costs
// more than the rest of the counting.
//
// Counters resolve their children once. Rejected: asking the vector by label each
// time, which hashes the text and takes a lock.
package stats
