package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Repair makes what is missing under a running node again: streams that are gone,
// since somebody has deleted them or NATS has come back with an empty store. It
// also mends settings that break the contract, but leaves limits as they are. The
// error says which streams it could not mend, and which permission is missing, if
// that is why. Any number of nodes may repair at the same time.
func (s *Store) Repair(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.lookAtForm(ctx); err != nil {
		return err
	}
	if err := s.samePartition(ctx); err != nil {
		return err
	}
	if err := s.askAccount(ctx); err != nil {
		return err
	}
	var findings []Finding
	denied := make(map[string]bool) // verbs of the API that this user may not use
	for _, want := range s.cfg.configs() {
		if f := s.repairStream(ctx, want, denied); f != nil {
			findings = append(findings, *f)
		}
	}
	return contractError(findings)
}

// repairStream sees to one stream.
func (s *Store) repairStream(ctx context.Context, want jetstream.StreamConfig, denied map[string]bool) *Finding {
	what := "stream " + want.Name
	st, err := s.js.Stream(ctx, want.Name)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		f := broken(what, "answers", jet.JSError(err).Error(), "a stream without a leader needs more of its servers up")
		return &f
	}
	if err != nil {
		return s.change(ctx, denied, what, "missing", "STREAM.CREATE."+want.Name, func(ctx context.Context) error {
			_, err := s.js.CreateStream(ctx, want)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				return nil // another node was faster
			}
			return err
		})
	}
	have := st.CachedInfo().Config
	next := mend(have, want)
	if len(failures(checkStream(have, want))) == 0 || sameConfig(have, next) {
		return nil // well, or not to be mended by an update
	}
	return s.change(ctx, denied, what, "not as it must be", "STREAM.UPDATE."+want.Name, func(ctx context.Context) error {
		_, err := s.js.UpdateStream(ctx, next)
		return err
	})
}

// mend is merge without the limits, which are another node's choice.
func mend(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	next := merge(have, want)
	next.MaxMsgsPerSubject, next.MaxAge, next.MaxBytes, next.Duplicates = have.MaxMsgsPerSubject, have.MaxAge, have.MaxBytes, have.Duplicates
	return next
}

// change asks for a change of a stream. NATS says nothing to who may not ask; but
// it has told the connection before it answers a ping that follows.
func (s *Store) change(ctx context.Context, denied map[string]bool, what, state, request string, do func(context.Context) error) *Finding {
	verb := request[:strings.LastIndexByte(request, '.')]
	finding := func(err error) *Finding {
		f := broken(what, "there, as this version needs it", state+", and "+err.Error(), "see the reason; the server's log may say more")
		if denied[verb] {
			f = broken(what, "there, as this version needs it", state,
				"this user may not publish to "+scheme.APIPrefix+request+": run `hydrant setup`")
		}
		return &f
	}
	if denied[verb] {
		return finding(jet.ErrDenied)
	}
	actx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if s.mayNot(actx, scheme.APIPrefix+request) {
		denied[verb] = true
		return finding(jet.ErrDenied)
	}
	if err := do(actx); err != nil {
		return finding(jet.JSError(err))
	}
	return nil
}

// changeTimeout bounds the change of one stream: a cluster takes its time.
const changeTimeout = 10 * time.Second
