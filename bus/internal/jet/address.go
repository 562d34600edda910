package jet

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseAddress reads one address as nats.go does.
func ParseAddress(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	if !strings.Contains(address, "://") {
		address = "nats://" + address
	}
	return url.Parse(address)
}

// Redacted is addresses without what is secret in them, as bus.Redacted says it.
func Redacted(addresses string) string {
	list := strings.Split(addresses, ",")
	for i, address := range list {
		u, err := ParseAddress(address)
		if err != nil {
			list[i] = fmt.Sprintf("address %d", i+1)
			continue
		}
		if _, password := u.User.Password(); u.User != nil && !password {
			u.User = url.User("xxxxx")
		}
		list[i] = u.Redacted()
	}
	return strings.Join(list, ",")
}
