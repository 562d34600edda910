package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kubernetes tells the containers of a namespace where its Services are, by
// variables that begin with the Service's name: for one called "edge", or
// "edge-admin", they look like settings. Only those whose value has Kubernetes'
// form as well count as such, so that EDGE_PORT=5353 stays a mistake that is told.
var (
	linkHost    = regexp.MustCompile(`^EDGE_([A-Z0-9_]+_)?SERVICE_HOST$`)
	linkNumber  = regexp.MustCompile(`^EDGE_([A-Z0-9_]+_)?(SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)_PORT)$`)
	linkURL     = regexp.MustCompile(`^EDGE_([A-Z0-9_]+_)?PORT(_\d+_(TCP|UDP|SCTP))?$`)
	linkNetwork = regexp.MustCompile(`^EDGE_([A-Z0-9_]+_)?PORT_\d+_(TCP|UDP|SCTP)_PROTO$`)
	linkAddress = regexp.MustCompile(`^EDGE_([A-Z0-9_]+_)?PORT_\d+_(TCP|UDP|SCTP)_ADDR$`)
)

// networks are those that a Service may have a port of.
var networks = []string{"tcp", "udp", "sctp"}

// serviceLink reports whether a variable is Kubernetes' word of a Service.
func serviceLink(name, value string) bool {
	switch {
	case linkHost.MatchString(name), linkAddress.MatchString(name):
		return isAddress(value)
	case linkNetwork.MatchString(name):
		return slices.Contains(networks, value)
	case linkNumber.MatchString(name):
		return isPort(value)
	case linkURL.MatchString(name):
		network, at, ok := strings.Cut(value, "://")
		colon := strings.LastIndexByte(at, ':')
		return ok && colon >= 0 && slices.Contains(networks, network) &&
			isAddress(strings.Trim(at[:colon], "[]")) && isPort(at[colon+1:])
	}
	return false
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// ServiceLinks returns the variables of an environment that have the form of
// settings and are Kubernetes' word of a Service. [Load] passes them over.
func ServiceLinks(environ []string) []string {
	settings := names()
	var links []string
	for _, line := range environ {
		if name, value, _ := strings.Cut(line, "="); !settings[name] && serviceLink(name, value) {
			links = append(links, name)
		}
	}
	slices.Sort(links)
	return links
}

// names are those of all settings.
func names() map[string]bool {
	known := make(map[string]bool)
	for _, v := range Variables() {
		known[v.Name] = true
	}
	return known
}
