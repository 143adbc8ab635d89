package author

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/wasmesh/wasmesh/sdk/policy"
	"github.com/wasmesh/wasmesh/wasm-policies/toolchain"
)

// Build compiles the policy in dir and answers the path of the module: output, or when that is empty NAME.wasm in dir,
// named like it. What compilers and their installation say goes to errs.
func Build(ctx context.Context, errs io.Writer, dir, output string) (module string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("build policy: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("build policy: %s is no directory: `wasmesh policy new --lang c NAME` makes one", dir)
	}
	if output == "" {
		output = filepath.Join(dir, filepath.Base(dir)+".wasm")
	}
	tree, err := unpack()
	if err != nil {
		return "", fmt.Errorf("build policy: %w", err)
	}
	build := exec.CommandContext(ctx, "bash", filepath.Join(tree, "wasm-policies", "toolchain", "build"), dir, output)
	build.Stdout, build.Stderr = errs, errs
	if os.Getenv("GOWORK") == "" {
		// A workspace in a directory above knows nothing of the policy.
		build.Env = append(os.Environ(), "GOWORK=off")
	}
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build policy in %s: %w", dir, err)
	}
	return output, nil
}

// unpack writes the scripts and the SDKs that this program carries into the user's cache, once for each content, and
// answers the directory.
func unpack() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parts := map[string]embed.FS{
		filepath.Join("wasm-policies", "toolchain"): toolchain.Scripts,
		filepath.Join("sdk", "policy"):              policy.Files,
	}
	digest, err := digestOf(parts)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, "wasmesh", fmt.Sprintf("policy-sdk-%x", digest[:4]))
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	if err := os.MkdirAll(filepath.Dir(tree), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(tree), ".policy-sdk-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }() // Nothing is left of it when all went well.
	for dir, files := range parts {
		if err := copyTree(filepath.Join(work, dir), files); err != nil {
			return "", err
		}
	}
	// Two programs may unpack at once: the first one's stays.
	if err := os.Rename(work, tree); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, stat := os.Stat(tree); stat != nil {
			return "", err
		}
	}
	return tree, nil
}

func digestOf(parts map[string]embed.FS) (digest [sha256.Size]byte, err error) {
	hash := sha256.New()
	for _, files := range []embed.FS{parts[filepath.Join("wasm-policies", "toolchain")], parts[filepath.Join("sdk", "policy")]} {
		err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := files.ReadFile(name)
			fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
			return err
		})
		if err != nil {
			return digest, err
		}
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// copyTree writes files with the mode of programs: among them are scripts that run each other.
func copyTree(to string, files embed.FS) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(path.Clean(name)))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o755)
	})
}
