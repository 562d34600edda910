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

// ContractError lists everything that keeps the store from holding its
// contract. A node is not ready as long as there is one.
type ContractError struct{ Findings []Finding }

func (e *ContractError) Error() string {
	var lines []string
	what := "" // those that are said together with the next one
	for i, f := range e.Findings {
		if i+1 < len(e.Findings) {
			next := e.Findings[i+1]
			if next.What = f.What; next == f { // all streams, for one reason
				what += f.What + ", "
				continue
			}
		}
		f.What = what + f.What
		lines, what = append(lines, fmt.Sprintf("%s: %s (%s)", f.What, f.Detail, f.Fix)), ""
	}
	return "bus: the store does not hold the contract: " + strings.Join(lines, "; ")
}

func contractError(f []Finding) error {
	if len(f) == 0 {
		return nil
	}
	return &ContractError{Findings: f}
}

// CheckContract checks again that the store holds the contract: every stream answers,
// is configured as needed, and one of them (each call tries the next) stores a
// reply and republishes it with the right sequences. A *[ContractError] lists
// what does not.
func (s *Store) CheckContract(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var findings []Finding
	for _, want := range s.cfg.configs() {
		var st jetstream.Stream
		err := jet.Retry(ctx, func(ctx context.Context) (err error) {
			st, err = s.js.Stream(ctx, want.Name)
			return jet.JSError(err)
		})
		if err != nil {
			findings = append(findings, broken("stream "+want.Name, "answers", err.Error(),
				"a stream without a leader needs more of its servers up; a missing one is made at the next start"))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		findings = append(findings, checkStream(st.CachedInfo().Config, want)...)
	}
	if len(findings) == 0 {
		part := int(s.probed.Add(1)-1) % s.cfg.Streams
		if f := s.probe(ctx, part); f != nil {
			findings = append(findings, *f)
		}
	}
	return contractError(findings)
}

// checkStream compares a stream with the contract: what a later node or an
// operator has raised above this node's configuration is no reason.
func checkStream(have, want jetstream.StreamConfig) (found []Finding) {
	const update = "restart a node with permission to update the stream, or edit it"
	const rebuild = "cannot be changed in place: move the messages or delete the stream"
	check := func(ok bool, what string, w, h any, fix string) {
		if !ok {
			found = append(found, broken("stream "+want.Name+": "+what, fmt.Sprint(w), fmt.Sprint(h), fix))
		}
	}
	check(sameSubjects(have.Subjects, want.Subjects), "subjects", want.Subjects, have.Subjects,
		"every node needs the same number of mailbox streams")
	check(have.Retention == want.Retention, "retention", want.Retention, have.Retention, rebuild)
	check(have.Storage == want.Storage, "storage", want.Storage, have.Storage, rebuild)
	check(have.Replicas >= want.Replicas, "replicas", want.Replicas, have.Replicas, update)
	check(have.Discard == want.Discard, "discard", want.Discard, have.Discard, update)
	check(atLeast(have.MaxMsgsPerSubject, want.MaxMsgsPerSubject), "max_msgs_per_subject",
		want.MaxMsgsPerSubject, have.MaxMsgsPerSubject, update)
	check(atLeast(int64(have.MaxAge), int64(want.MaxAge)), "max_age", want.MaxAge, have.MaxAge, update)
	check(have.MaxMsgs <= 0, "max_msgs", "none", have.MaxMsgs, update)
	check(have.MaxConsumers >= minConsumers, "max_consumers",
		fmt.Sprintf("at least %d, and explicit", minConsumers), have.MaxConsumers, update)
	check(have.AllowDirect, "allow_direct", true, false, update)
	check(have.AllowMsgTTL, "allow_msg_ttl", true, false, update)
	check(have.SubjectDeleteMarkerTTL == want.SubjectDeleteMarkerTTL, "subject_delete_marker_ttl",
		want.SubjectDeleteMarkerTTL, have.SubjectDeleteMarkerTTL, update)
	check(!have.Sealed, "sealed", false, true, rebuild)
	check(!have.NoAck, "no_ack", false, true, update)
	check(samePtr(have.SubjectTransform, want.SubjectTransform), "subject_transform",
		show(want.SubjectTransform), show(have.SubjectTransform), update)
	check(samePtr(have.RePublish, want.RePublish), "republish", show(want.RePublish), show(have.RePublish), update)
	return found
}

// atLeast compares limits of which 0 and -1 mean none.
func atLeast(have, want int64) bool { return have <= 0 || want > 0 && have >= want }

func show[T any](p *T) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprintf("%+v", *p)
}

// probe publishes a marker to the reply subject of a session that does not
// exist and waits for it on the live subject: so transformation, storage,
// republishing and the permissions for all of it are seen to work. The marker
// is gone after two seconds.
func (s *Store) probe(ctx context.Context, part int) *Finding {
	const every, most = 150 * time.Millisecond, 5 * time.Second
	sid := scheme.NewSIDIn(part, s.cfg.Streams)
	finding := func(have string) *Finding {
		f := broken("a reply through stream "+scheme.OutStream(part), "is stored and republished on the live subject", have,
			"check the stream, and this user's permissions for "+scheme.PrefixReply+"> and "+scheme.PrefixLive+">")
		return &f
	}
	reply, err := scheme.ReplySubject(scheme.NewNodeID(), sid, "")
	if err != nil {
		return finding(err.Error())
	}
	sub, err := s.nc.SubscribeSync(scheme.LiveSubject(sid))
	if err != nil {
		return finding(err.Error())
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	m := &nats.Msg{Subject: reply, Header: nats.Header{
		scheme.HeaderMark: []string{"1"}, jet.HeaderTTL: []string{jet.TTLSeconds(markerTTL)},
	}}
	for {
		if err := s.nc.PublishMsg(m); err != nil {
			return finding(err.Error())
		}
		tctx, cancel := context.WithTimeout(ctx, every)
		got, err := sub.NextMsgWithContext(tctx)
		cancel()
		switch {
		case err == nil:
			if c, stored := ParseCopy(got); !stored || c.Mark == 0 || c.Seq == 0 {
				return finding(fmt.Sprintf("a copy with the headers %v", got.Header))
			}
			return nil
		case !errors.Is(err, context.DeadlineExceeded):
			return finding(err.Error())
		case ctx.Err() != nil:
			return finding("nothing came in " + most.String())
		}
	}
}
