package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Oldest server that has all that the streams need: message TTLs came with it.
const oldestMajor, oldestMinor = 2, 11

// clockSkew is what two clocks may differ by unremarked, beside the round trip.
const clockSkew = time.Second

// Diagnose looks whether NATS can hold a store of this configuration, as
// [Open] and [Store.CheckContract] would, but creates and changes nothing: what a
// node would do at its start is told. nc is a connection of the node's user.
func Diagnose(ctx context.Context, nc *nats.Conn, cfg Config) []Finding {
	checks := []Finding{checkServer(nc)}
	if err := cfg.defaults(); err != nil {
		return append(checks, Finding{Fail, "configuration", err.Error(), "see `hydrant help config`"})
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return append(checks, Finding{Fail, "JetStream", err.Error(), "see the reason"})
	}
	s := &Store{nc: nc, js: js, cfg: cfg}
	account, ok := s.checkAccount(ctx)
	checks = append(checks, account...)
	if !ok {
		return checks
	}
	return append(checks, s.checkStreams(ctx)...)
}

// checkServer judges the server that the connection has found.
func checkServer(nc *nats.Conn) Finding {
	version := nc.ConnectedServerVersion()
	c := Finding{OK, "NATS", "nats-server " + version + " at " + jet.Redacted(nc.ConnectedUrl()), ""}
	if cluster := nc.ConnectedClusterName(); cluster != "" {
		c.Detail += ", cluster " + cluster
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		c.Verdict, c.Fix = Fail, fmt.Sprintf("use nats-server %d.%d or later", oldestMajor, oldestMinor)
	}
	return c
}

// checkAccount judges JetStream itself; not ok: no stream can be looked at.
func (s *Store) checkAccount(ctx context.Context) (checks []Finding, ok bool) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := s.askAccount(ctx)
	var contract *ContractError
	switch {
	case errors.As(err, &contract):
		return contract.Findings, false
	case err != nil:
		return []Finding{{Fail, "JetStream", err.Error(), "look at NATS' log: JetStream may be off (after a full disk until the server is started again), without a leader, or closed to this user"}}, false
	}
	info, err := s.js.AccountInfo(ctx)
	if err != nil {
		return []Finding{{Fail, "JetStream", err.Error(), "look at NATS' log"}}, false
	}
	c := Finding{OK, "JetStream", fmt.Sprintf("enabled; %d streams, %d MiB stored", info.Streams, info.Store>>20), ""}
	if most := info.Limits.MaxStore; most > 0 {
		c.Detail += fmt.Sprintf(" of %d MiB", most>>20)
		if info.Store > uint64(most)/10*8 {
			c.Verdict, c.Fix = Warn, "raise the account's store limit, or lower EDGE_STORE_BYTES: what the account refuses is lost"
		}
	}
	checks = append(checks, c)
	need := len(s.cfg.configs())
	if most := info.Limits.MaxStreams; most > 0 && most < need {
		checks = append(checks, Finding{Fail, "account limit max_streams", fmt.Sprintf("want at least %d, have %d", need, most),
			"raise it, or use fewer EDGE_MAILBOX_STREAMS"})
	}
	return checks, true
}

// checkStreams compares every stream with what a node would make of it.
func (s *Store) checkStreams(ctx context.Context) []Finding {
	var checks []Finding
	var missing, updated []string
	good := 0
	var clock *Finding
	all := s.cfg.configs()
	for i, want := range all {
		asked := time.Now()
		st, err := s.askStream(ctx, want.Name)
		switch {
		case jet.Temporary(err):
			return append(checks, Finding{Fail, "stream " + want.Name, fmt.Sprintf("no answer, so %d more were not asked: %v", len(all)-i-1, err),
				"a stream without a leader needs more of its servers up; so does JetStream; or the permission is missing"})
		case errors.Is(err, jetstream.ErrStreamNotFound):
			missing = append(missing, want.Name)
			continue
		case err != nil:
			checks = append(checks, Finding{Fail, "stream " + want.Name, err.Error(), "see the reason"})
			continue
		}
		info := st.CachedInfo()
		if clock == nil {
			clock = checkClock(info.TimeStamp, asked, time.Now())
		}
		if want.Name == scheme.SessionStream {
			s.noteForm(info.Config)
			var contract *ContractError
			if errors.As(s.knownForm(), &contract) {
				return append(checks, contract.Findings...)
			}
		}
		next := merge(info.Config, want)
		switch {
		case sameConfig(info.Config, next):
		case s.mayNot(ctx, scheme.APIStreamUpdate+want.Name):
			next = info.Config // as a node would find it
		default:
			updated = append(updated, want.Name)
		}
		found := append(checkStream(next, want), checkReplicas(info)...)
		if len(found) == 0 {
			good++
		}
		checks = append(checks, found...)
	}
	if good > 0 {
		checks = append(checks, Finding{OK, "streams", fmt.Sprintf("%d of %d hold the contract", good, len(all)), ""})
	}
	checks = append(checks, s.willChange(ctx, missing, updated)...)
	if clock != nil {
		checks = append(checks, *clock)
	}
	return append(checks, s.checkCopies())
}

// willChange says what a node makes at its start, or would have to.
func (s *Store) willChange(ctx context.Context, missing, updated []string) (changes []Finding) {
	switch {
	case len(missing) > 0 && s.mayNot(ctx, scheme.APIStreamCreate+missing[0]):
		changes = append(changes, Finding{Fail, "streams", "missing, and a node's user may not create them: " + some(missing), "run `hydrant setup`"})
	case len(missing) > 0:
		changes = append(changes, Finding{OK, "streams", "a node creates at its start: " + some(missing), ""})
	}
	if len(updated) > 0 {
		changes = append(changes, Finding{Warn, "streams", "settings differ; a node of this configuration changes at its start: " + some(updated),
			"if that is not what you want, give all nodes the same configuration"})
	}
	return changes
}

// askStream asks for one stream, not for long.
func (s *Store) askStream(ctx context.Context, name string) (jetstream.Stream, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := s.js.Stream(ctx, name)
	return st, jet.JSError(err)
}

// checkReplicas looks for copies that are not there.
func checkReplicas(info *jetstream.StreamInfo) []Finding {
	if info.Cluster == nil {
		return nil
	}
	what := "stream " + info.Config.Name
	if info.Cluster.Leader == "" {
		return []Finding{{Fail, what, "no leader", "bring up more of its servers"}}
	}
	var checks []Finding
	for _, r := range info.Cluster.Replicas {
		switch {
		case r.Offline:
			checks = append(checks, Finding{Warn, what, "its copy on " + r.Name + " is offline", "bring the server up before another goes down"})
		case !r.Current:
			checks = append(checks, Finding{Warn, what, fmt.Sprintf("its copy on %s is %d operations behind", r.Name, r.Lag), "wait before another server goes down"})
		}
	}
	return checks
}

// checkClock compares the server's time with this machine's.
func checkClock(server, asked, answered time.Time) *Finding {
	if server.IsZero() {
		return nil
	}
	trip := answered.Sub(asked)
	skew := server.Sub(asked.Add(trip / 2))
	c := &Finding{OK, "clock", fmt.Sprintf("differs from NATS' by %v, give or take %v", skew.Round(time.Millisecond), (trip / 2).Round(time.Millisecond)), ""}
	if skew.Abs() > clockSkew+trip {
		c.Verdict, c.Fix = Warn, "synchronise the clocks: tokens, EDGE_SIGNATURE_WINDOW and timestamps depend on them"
	}
	return c
}

// checkCopies says what a loss of power costs. How often servers write to disk
// (sync_interval) only the system account is told.
func (s *Store) checkCopies() Finding {
	const fix = "three servers in different places (EDGE_STREAM_REPLICAS=3), or sync_interval: always in NATS' configuration"
	if s.cfg.Replicas < 3 {
		return Finding{Warn, "power loss", fmt.Sprintf("%d copy; what a server acknowledged within its sync_interval (2 min by default) before it loses power is gone", s.cfg.Replicas), fix}
	}
	return Finding{OK, "power loss", fmt.Sprintf("%d copies; only if most servers lose power within their sync_interval (2 min by default), acknowledged messages are gone", s.cfg.Replicas), ""}
}

// some lists a few of many names.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
