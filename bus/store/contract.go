package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ContractError lists everything that keeps the store from holding its
// contract.
type ContractError struct {
	Findings []Finding
	// Partial: some mailbox streams do not work, others do, and all else is well. The
	// sessions of those cannot be served; others can ([Store.NewSID]).
	Partial bool
}

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

// CheckContract checks again that the store holds the contract: every stream answers
// and is configured as needed, and every mailbox stream stores a reply and
// republishes it with the right sequences. A *[ContractError] lists what does not;
// [Store.Warnings] has what does no harm. All streams are asked at once, so that it
// takes as long as the slowest of them, and no longer than ctx.
func (s *Store) CheckContract(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all := s.cfg.configs()
	found := make([][]Finding, len(all)) // the mailbox streams come first
	var asking sync.WaitGroup
	for i, want := range all {
		asking.Go(func() {
			found[i] = s.askContract(ctx, want)
			if i < s.cfg.Streams && len(failures(found[i])) == 0 {
				if f := s.probe(ctx, i); f != nil {
					found[i] = append(found[i], *f)
				}
			}
		})
	}
	asking.Wait()
	if err := s.knownForm(); err != nil {
		return err
	}
	s.health.set(found[:s.cfg.Streams], slices.Concat(found...))
	failed, bad := failures(slices.Concat(found...)), failures(slices.Concat(found[:s.cfg.Streams]...))
	if len(failed) == 0 {
		return nil
	}
	return &ContractError{Findings: failed, Partial: len(failed) == len(bad) && s.health.some()}
}

// askContract compares one stream with the contract.
func (s *Store) askContract(ctx context.Context, want jetstream.StreamConfig) []Finding {
	var st jetstream.Stream
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		st, err = s.js.Stream(ctx, want.Name)
		return jet.JSError(err)
	})
	if err != nil {
		return []Finding{broken("stream "+want.Name, "answers", err.Error(),
			"a stream without a leader needs more of its servers up; a missing one is made by a node that may")}
	}
	have := st.CachedInfo().Config
	if want.Name == scheme.SessionStream {
		s.noteForm(have)
		s.age.Store(int64(have.MaxAge))
	}
	if want.Name == scheme.WorkStream {
		s.queues.any.Store(takesAny(&have))
	}
	return checkStream(have, want)
}

// checkStream compares a stream with the contract. Limits that differ from this
// node's configuration break nothing: those of the node that started last, or of an
// operator, are in force. If they are lower than its own, that is a warning.
func checkStream(have, want jetstream.StreamConfig) (found []Finding) {
	const update = "restart a node with permission to update the stream, or edit it"
	const same = "the last node that started has set it: give all nodes the same configuration"
	const rebuild = "cannot be changed in place: move the messages or delete the stream"
	check := func(ok bool, what string, w, h any, fix string) {
		if !ok {
			found = append(found, broken("stream "+want.Name+": "+what, fmt.Sprint(w), fmt.Sprint(h), fix))
		}
	}
	if want.Name == scheme.WorkStream {
		check(ofWork(have.Subjects), "subjects", "those of work queues", have.Subjects, update)
	} else {
		check(sameSubjects(have.Subjects, want.Subjects), "subjects", want.Subjects, have.Subjects,
			"every node needs the same number of mailbox streams")
	}
	check(have.Retention == want.Retention, "retention", want.Retention, have.Retention, rebuild)
	check(have.Storage == want.Storage, "storage", want.Storage, have.Storage, rebuild)
	check(have.Replicas >= want.Replicas, "replicas", want.Replicas, have.Replicas, update)
	check(have.Discard == want.Discard, "discard", want.Discard, have.Discard, update)
	limit := func(ok bool, what string, w, h any) {
		if !ok {
			found = append(found, Finding{Warn, "stream " + want.Name + ": " + what, fmt.Sprintf("this node would have %v, it is %v", w, h), same})
		}
	}
	limit(atLeast(have.MaxMsgsPerSubject, want.MaxMsgsPerSubject), "max_msgs_per_subject", want.MaxMsgsPerSubject, have.MaxMsgsPerSubject)
	limit(atLeast(int64(have.MaxAge), int64(want.MaxAge)), "max_age", want.MaxAge, have.MaxAge)
	check(have.MaxMsgs == want.MaxMsgs || have.MaxMsgs <= 0 && want.MaxMsgs <= 0, "max_msgs", want.MaxMsgs, have.MaxMsgs, update)
	check(scheme.FormOf(have.Metadata) >= scheme.FormOf(want.Metadata), "metadata: "+scheme.MetaForm,
		scheme.FormOf(want.Metadata), scheme.FormOf(have.Metadata), update)
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
