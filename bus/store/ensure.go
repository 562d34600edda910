package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// ensure creates the streams that are missing and updates those that differ.
// What it cannot change it leaves to CheckContract to report. The error is Partial if it is
// only that there is no room for what is to be set aside.
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
	m := &making{room, make(map[string]int64)}
	var findings []Finding
	aside := true // they are of nothing else than what is set aside
	for _, want := range s.cfg.configs() {
		err := jet.Retry(ctx, func(ctx context.Context) error { return s.ensureBounded(ctx, want, m) })
		if jet.NoRoom(err) {
			findings = append(findings, broken("stream "+want.Name, "a place for its bytes", err.Error(),
				"set EDGE_STORE_BYTES to what the servers, and the account, have for each copy"))
			aside = aside && strings.HasPrefix(want.Name, scheme.KeptStreamPrefix)
			continue
		}
		if errors.Is(err, ErrRefused) {
			findings = append(findings, broken("stream "+want.Name, "can be created and updated", err.Error(),
				fixOf(err)))
			aside = false
			continue
		}
		if err != nil {
			return fmt.Errorf("bus: stream %s: %w", want.Name, err)
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &ContractError{Findings: findings, Partial: aside}
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
		var made jetstream.StreamConfig
		if made, err = s.made(ctx, want); err != nil {
			return jet.JSError(err)
		}
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
	if strings.HasPrefix(want.Name, scheme.OutStreamPrefix) && want.MaxBytes > 0 {
		most := int64(st.CachedInfo().State.Bytes / 4 * 5) // with less it would soon drop what waits
		if have.MaxBytes > 0 {
			most = min(most, have.MaxBytes)
		}
		m.extra[want.Name] = max(0, most-want.MaxBytes)
		want.MaxBytes += m.extra[want.Name]
	}
	next := merge(have, want)
	if sameConfig(have, next) || s.mayNot(ctx, scheme.APIStreamUpdate+want.Name) {
		return nil
	}
	_, err = s.js.UpdateStream(ctx, next)
	return jet.JSError(err)
}

// made is what a stream is made as. A directory that is made again keeps the form in use, as
// far as this store knows it. A stream of mailboxes, or of what is set aside, that is made
// beside a directory which is there was lost: it begins above all that was ever stored in the
// one before, since that had fewer messages than microseconds. So no position of that one is
// another message's, and a purge of it that is late does nothing.
func (s *Store) made(ctx context.Context, want jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	partition, mailboxes := strings.CutPrefix(want.Name, scheme.OutStreamPrefix)
	_, aside := strings.CutPrefix(want.Name, scheme.KeptStreamPrefix)
	switch {
	case want.Name == scheme.SessionStream:
		want.Metadata = withForm(want.Metadata, s.Form())
	case mailboxes, aside && s.Form() >= scheme.RoomForm: // else nothing was ever set aside
		_, err := s.js.Stream(ctx, scheme.SessionStream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return want, nil
		}
		if err != nil {
			return want, err
		}
		want.FirstSeq = uint64(time.Now().UnixMicro())
		if i, err := strconv.Atoi(partition); err == nil && i < len(s.lasts) {
			want.FirstSeq = max(want.FirstSeq, s.lasts[i].Load()+1) // clocks may go back
		}
	}
	return want, nil
}

// mayNot reports whether the server denies this user a request that names a stream.
func (s *Store) mayNot(ctx context.Context, subject string) bool {
	const another = `{"name":"hydrant-asks"}` // than the subject names: refused
	return jet.Denied(ctx, s.nc, subject, []byte(another))
}
