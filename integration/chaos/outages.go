package chaos

import (
	"context"
	"time"

	"hydrant/integration/harness"
)

// An outage is a fault of the servers, or of the network beneath them, that takes
// seconds to have its effect: one at a time, beside the lesser ones.
type outage struct {
	what string
	play func(s *schedule, f *fault) error
}

// All of these wait for what they are for, and hold it for a while then. They
// return an error where a process or the network does not do as told.
var (
	splitDirectory = outage{"split directory leader", func(s *schedule, f *fault) error { return s.splitLeader(f, directory) }}
	splitMailbox   = outage{"split mailbox leader", func(s *schedule, f *fault) error { return s.splitLeader(f, s.mailboxStream()) }}
	deafMailbox    = outage{"deaf mailbox leader", func(s *schedule, f *fault) error { return s.deafLeader(f, s.mailboxStream()) }}
	minority       = outage{"server in a minority", (*schedule).minority}
	oneWayServers  = outage{"one way between servers", (*schedule).oneWayServers}
	stillPeers     = outage{"writes in flight", (*schedule).stillPeers}
	restoreStores  = outage{"restore stores", (*schedule).restoreStores}
	serversAway    = outage{"all servers go", (*schedule).serversAway}
	quorumAway     = outage{"all servers but one go", (*schedule).quorumAway}
	workLeaderGone = outage{"split work queue leader", (*schedule).workLeader}
	rotate         = outage{"rotate credentials", (*schedule).rotate}
	fillDisk       = outage{"disk full", (*schedule).fillDisk}
	nodeOneWay     = outage{"one way between node and NATS", (*schedule).nodeOneWay}
	jumpClock      = outage{"clock jumps", (*schedule).jumpClock}
	clientsOneWay  = outage{"one way between clients and node", (*schedule).clientsOneWay}
)

// outagesOf are those that a number of servers can have, in the order in which
// runs with successive seeds play them.
func outagesOf(servers int) []outage {
	if servers == 1 {
		return []outage{restoreStores, nodeOneWay, rotate, clientsOneWay, fillDisk, jumpClock}
	}
	return []outage{splitDirectory, nodeOneWay, stillPeers, minority, restoreStores, splitMailbox, clientsOneWay, rotate, jumpClock, deafMailbox, oneWayServers, fillDisk}
}

// outagesARun is about how many fit into a minute, so that the next seed goes on
// where this one ends.
const outagesARun = 4

// outages plays them until ctx ends. Only a run with a network has any.
func (s *schedule) outages(ctx context.Context) {
	if s.run.network == nil {
		return
	}
	all := outagesOf(len(s.run.servers.Servers))
	at := int(s.run.cfg.Seed % uint64(len(all)) * outagesARun)
	for ; ; at++ {
		nap(ctx, s.pause(500*time.Millisecond, 3*time.Second))
		select {
		case <-s.servers:
		case <-ctx.Done():
			return
		}
		if ctx.Err() == nil {
			s.play(all[at%len(all)])
		}
		s.servers <- struct{}{}
	}
}

// playsAtMost is how often an outage is made of which nothing is seen: another fault may
// be in its way.
const playsAtMost = 4

// play makes one outage. The token of the servers is held.
func (s *schedule) play(o outage) {
	if o.what == jumpClock.what && s.run.binary == "" {
		return
	}
	f := s.note(o.what, "")
	for range playsAtMost {
		if err := o.play(s, f); err != nil {
			s.broken(o.what, err)
			break
		}
		if f.over() {
			break
		}
		s.hold(500*time.Millisecond, 3*time.Second)
	}
	f.missed("it was made, and nothing was seen of it") // unless it bit
}

// pause is a duration of the outages' own choice: they have their own goroutine.
func (s *schedule) pause(low, high time.Duration) time.Duration {
	return low + time.Duration(s.chance.Int64N(int64(high-low)))
}

// hold lets some time of the outages' choice pass.
func (s *schedule) hold(low, high time.Duration) { nap(context.Background(), s.pause(low, high)) }

// sometime waits for a condition as long as anything may take.
func sometime(condition func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return harness.Until(ctx, condition)
}

// mailboxStream is one of the mailboxes' streams.
func (s *schedule) mailboxStream() string { return streams[1+s.chance.IntN(len(streams)-1)] }
