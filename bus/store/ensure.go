package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ensure creates the streams that are missing and updates those that differ.
// What it cannot change it leaves to CheckContract to report.
func (s *Store) ensure(ctx context.Context) error {
	if err := s.askAccount(ctx); err != nil {
		return err
	}
	if err := s.lookAtForm(ctx); err != nil {
		return err
	}
	if err := s.samePartition(ctx); err != nil {
		return err
	}
	room, err := s.room(ctx)
	if err != nil {
		return err
	}
	m := &making{room: room}
	var findings []Finding
	for _, want := range s.cfg.configs() {
		err := jet.Retry(ctx, func(ctx context.Context) error { return s.ensureBounded(ctx, want, m) })
		if jet.NoRoom(err) {
			findings = append(findings, broken("stream "+want.Name, "a place for its bytes", err.Error(),
				"set EDGE_STORE_BYTES to what the servers, and the account, have for each copy"))
			continue
		}
		if errors.Is(err, ErrRefused) {
			findings = append(findings, broken("stream "+want.Name, "can be created and updated", err.Error(),
				fixOf(err)))
			continue
		}
		if err != nil {
			return fmt.Errorf("bus: stream %s: %w", want.Name, err)
		}
	}
	return contractError(findings)
}

// fixOf is what to do about a stream that was refused.
func fixOf(err error) string {
	if errors.Is(err, jet.ErrDenied) {
		return "run `hydrant setup` with the user that may"
	}
	return "see the reason; the server's log may say more"
}

// samePartition finds mailboxes that are spread over another number of streams:
// each stream would otherwise be refused by itself, for reasons that do not name
// this one.
func (s *Store) samePartition(ctx context.Context) error {
	var st jetstream.Stream
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		st, err = s.js.Stream(ctx, scheme.OutStream(0))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return jet.JSError(err)
	})
	if err != nil {
		return fmt.Errorf("bus: stream %s: %w", scheme.OutStream(0), err)
	}
	if st == nil {
		return nil
	}
	owned := len(mailboxes(st.CachedInfo().Config.Subjects))
	if owned == 0 || scheme.MaxStreams%owned != 0 || scheme.MaxStreams/owned == s.cfg.Streams {
		return nil
	}
	return contractError([]Finding{broken("mailbox streams", strconv.Itoa(s.cfg.Streams), strconv.Itoa(scheme.MaxStreams/owned),
		"every node needs the same EDGE_MAILBOX_STREAMS; another number leaves what is stored behind, unread")})
}

// askAccount looks whether there is JetStream. That there is none is a finding.
func (s *Store) askAccount(ctx context.Context) error {
	err := jet.Retry(ctx, func(ctx context.Context) error {
		_, err := s.js.AccountInfo(ctx)
		return jet.JSError(err)
	})
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return contractError([]Finding{broken("JetStream", "enabled for this account", err.Error(),
			"start nats-server with JetStream (-js) and enable it for the account of NATS_USER or NATS_CREDS")})
	}
	if err != nil {
		return fmt.Errorf("bus: JetStream account: %w", err)
	}
	return nil
}

// ensureStream creates one stream, or updates it if it differs from want in
// something that can be changed. Where the user may do neither, another has to:
// a stream that is missing is refused, and one that differs is left to CheckContract.
func (s *Store) ensureStream(ctx context.Context, want jetstream.StreamConfig, m *making) error {
	st, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if s.mayNot(ctx, scheme.APIStreamCreate+want.Name) {
			return fmt.Errorf("%w: %w: it is missing, and this user may not make it", ErrRefused, jet.ErrDenied)
		}
		made := want
		if made.MaxBytes <= 0 && made.Storage == jetstream.FileStorage {
			made.MaxBytes = s.cfg.part(want.Name, m.room)
		}
		if _, err = s.js.CreateStream(ctx, made); !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return jet.JSError(err)
		}
		// Another node was faster, with another configuration.
		st, err = s.js.Stream(ctx, want.Name)
	}
	if err != nil {
		return jet.JSError(err)
	}
	have := st.CachedInfo().Config
	if part := s.cfg.part(want.Name, m.room); want.MaxBytes <= 0 && have.MaxBytes <= 0 && have.Storage == jetstream.FileStorage && st.CachedInfo().State.Bytes < uint64(part)/2 {
		want.MaxBytes = part // it was made without any bound, and loses nothing by this one
	}
	next := merge(have, want)
	if sameConfig(have, next) || s.mayNot(ctx, scheme.APIStreamUpdate+want.Name) {
		return nil
	}
	_, err = s.js.UpdateStream(ctx, next)
	return jet.JSError(err)
}

// mayNot reports whether the server denies this user a request that names a stream.
func (s *Store) mayNot(ctx context.Context, subject string) bool {
	const another = `{"name":"hydrant-asks"}` // than the subject names: refused
	return jet.Denied(ctx, s.nc, subject, []byte(another))
}
