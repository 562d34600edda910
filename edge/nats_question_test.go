package edge

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestQuestionsAreNoWarnings: where the node's user may not make streams, each answer to
// whether it may is a permissions violation, dozens at a first start; what is refused
// beside that is told.
func TestQuestionsAreNoWarnings(t *testing.T) {
	refused := func(what string) error {
		return fmt.Errorf("%w: Permissions Violation for %s", nats.ErrPermissionViolation, what)
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{refused(`Publish to "$JS.API.STREAM.CREATE.UMF_OUT_0"`), true},
		{refused(`Publish to "$JS.API.STREAM.UPDATE.KV_UMF_SESSIONS"`), true},
		{refused(`Publish to "$JS.API.STREAM.INFO.UMF_OUT_0"`), false},
		{refused(`Publish to "umf.v1.svc.chat"`), false},
		{refused(`Subscription to "$JS.API.STREAM.CREATE.UMF_OUT_0"`), false},
		{errors.New(`nats: Publish to "$JS.API.STREAM.CREATE.UMF_OUT_0"`), false},
	} {
		if got := isQuestion(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
