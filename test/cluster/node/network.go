package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// setUpNetwork gives the empty network namespace an address for the node and the settings that forwarding to pods needs.
// A bridge without ports holds the address: not every kernel has the driver of dummy interfaces.
func setUpNetwork(ctx context.Context) error {
	const bridge = "node0"
	address := fmt.Sprintf("%s/%d", Address(), nodeRange.Bits())
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", address, "dev", bridge},
		{"link", "set", bridge, "up"},
		{"route", "add", "default", "via", gateway.String(), "dev", bridge, "onlink"},
	} {
		if err := output(exec.CommandContext(ctx, "ip", arguments...)); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward":              "1",
		"net/ipv4/conf/all/route_localnet": "1",
		// Packets between pods on the bridge pass the filters, too, where addresses of Services are translated.
		"net/bridge/bridge-nf-call-iptables": "1",
	} {
		if err := setKernel(ctx, name, value); err != nil {
			return fmt.Errorf("set %s: %w", strings.ReplaceAll(name, "/", "."), err)
		}
	}
	return nil
}

// setKernel writes a setting. That of bridges is there once the kernel has loaded what it is of, which it does not do by
// itself.
func setKernel(ctx context.Context, name, value string) error {
	path := "/proc/sys/" + name
	err := os.WriteFile(path, []byte(value), 0o644)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if failed := output(exec.CommandContext(ctx, "modprobe", "br_netfilter")); failed != nil {
		return fmt.Errorf("%w; load the kernel's module br_netfilter: %w", err, failed)
	}
	return os.WriteFile(path, []byte(value), 0o644)
}

// output runs a command to its end; its output is the error's when it fails.
func output(command *exec.Cmd) error {
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, bytes.TrimSpace(said))
	}
	return nil
}
