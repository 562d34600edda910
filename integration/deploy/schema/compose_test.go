package schema

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestComposeV2: Compose v2 takes the file that the Docker test runs with
// Compose 1.29, and means the same by it.
func TestComposeV2(t *testing.T) {
	for name, c := range map[string]struct {
		profiles []string
		services int
	}{
		"small":      {nil, 7},
		"monitoring": {[]string{"monitoring"}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			options, err := cli.NewProjectOptions([]string{"../../../docker-compose.yml"}, cli.WithProfiles(c.profiles))
			if err != nil {
				t.Fatal(err)
			}
			project, err := options.LoadProject(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(project.Services) != c.services {
				t.Errorf("services %v, want %d", project.ServiceNames(), c.services)
			}
			edge := project.Services["edge"]
			if edge.StopGracePeriod == nil || edge.StopGracePeriod.String() != "50s" {
				t.Errorf("edges have %v to stop", edge.StopGracePeriod)
			}
			for _, server := range []string{"nats-1", "nats-2", "nats-3"} {
				s := project.Services[server]
				if s.Image != "hydrant-nats:latest" || s.StopGracePeriod == nil || *s.Environment["NATS_NAME"] != server || s.Environment["NATS_ROUTES"] == nil {
					t.Errorf("%s: the merged parts are missing: %+v", server, s)
				}
				if len(s.Ports) > 0 { // its monitoring names subjects, and so sessions
					t.Errorf("%s is reached from outside: %+v", server, s.Ports)
				}
			}
			if ports := project.Services["haproxy"].Ports; len(ports) != 2 || ports[0].Published != "8080" || ports[1].HostIP != "127.0.0.1" {
				t.Errorf("ports of haproxy: %+v", ports)
			}
		})
	}
}
