package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// apply is one run of `policy apply`.
type apply struct {
	manifest       author.Manifest
	config, output string
	dataDir        string
	out, errs      io.Writer
}

func newPolicyApply(dataDir *string) *cobra.Command {
	a := &apply{}
	command := &cobra.Command{
		Use:   "apply [DIR|FILE.wasm]",
		Short: "Wrap a policy in its ConfigMap and put it where the running mesh reads it",
		Long: `apply writes the ConfigMap of a policy, the module gzipped, into the first directory that the mesh of --data-dir was
started with (up -f). With -o it is written to a file instead; "-o -" prints it, for kubectl apply.`,
		Example: `  wasmesh policy apply oldest-first
  wasmesh policy apply oldest-first --shadow --name candidate
  wasmesh policy apply oldest-first -o - | kubectl apply --server-side -f -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			a.dataDir, a.out, a.errs = *dataDir, command.OutOrStdout(), command.ErrOrStderr()
			return withModule(command, args, func(module *policytest.Module, _ string) error {
				return a.run(command.Context(), module)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&a.manifest.Name, "name", "", "name of the ConfigMap; the module's unless said otherwise")
	flags.StringVarP(&a.manifest.Namespace, "namespace", "n", defaultNamespace, "namespace of the controller that shall read it; another than default needs -o")
	flags.StringVar(&a.config, "config", "", "file with the policy's configuration")
	flags.StringSliceVar(&a.manifest.Hooks, "hooks", nil, "hooks that it shall decide; all that it has unless said otherwise")
	flags.BoolVar(&a.manifest.Shadow, "shadow", false, "ask it beside the policy that decides, and only compare")
	flags.StringVarP(&a.output, "output", "o", "", "file to write; - is standard output")
	_ = command.RegisterFlagCompletionFunc("hooks", completeHooks) // fails only for a flag that does not exist
	return command
}

func (a *apply) run(ctx context.Context, module *policytest.Module) error {
	config, err := optionalFile(a.config)
	if err != nil {
		return err
	}
	if a.output == "" && a.manifest.Namespace != defaultNamespace {
		return fmt.Errorf("apply policy %s: -n %s: this mesh reads policies of namespace %s only: leave -n out, or write the ConfigMap for another controller to a file with -o",
			module.Name(), a.manifest.Namespace, defaultNamespace)
	}
	if err := a.checkHooks(module.Info()); err != nil {
		return fmt.Errorf("apply policy %s: %w", module.Name(), err)
	}
	// A module that would be refused is better refused here.
	if _, err := module.With(ctx, config); err != nil {
		return err
	}
	if a.manifest.Name == "" {
		a.manifest.Name = module.Name()
	}
	a.manifest.Module, a.manifest.Config = module.Wasm(), config
	content, serverSide, err := a.manifest.YAML()
	if err != nil {
		return err
	}
	if a.output == "-" {
		_, err = a.out.Write(content)
	} else {
		err = a.write(content)
	}
	if err == nil && serverSide && a.output != "" {
		fmt.Fprintln(a.errs, "This ConfigMap is too large for kubectl apply as it is: use kubectl apply --server-side.")
	}
	return err
}

func (a *apply) checkHooks(info engine.Info) error {
	for _, name := range a.manifest.Hooks {
		if !slices.ContainsFunc(info.Hooks, func(h policyabi.Hook) bool { return h.String() == name }) {
			return fmt.Errorf("--hooks %s: the module decides %v", name, info.Hooks)
		}
	}
	return nil
}

// write puts the ConfigMap into the file that was named, or where the mesh reads it.
func (a *apply) write(content []byte) error {
	path := a.output
	if path == "" {
		source, err := a.source()
		if err != nil {
			return err
		}
		path = filepath.Join(source, a.manifest.Name+".yaml")
		// The directory is the user's: a file of another content is not ours to replace.
		switch present, err := readLimited(path, maxObjectBytes); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !author.IsManifest(present, a.manifest.Namespace, a.manifest.Name):
			return fmt.Errorf("%s holds something else: give the policy another --name, or name a file with -o", path)
		}
	}
	if err := author.WriteWhole(path, content); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "ConfigMap %s%s written to %s\n", namespacePrefix(a.manifest.Namespace), a.manifest.Name, path)
	if a.output == "" {
		fmt.Fprintln(a.out, "`wasmesh policy status` shows what becomes of it.")
	}
	return nil
}

// namespacePrefix is empty for the default namespace.
func namespacePrefix(namespace string) string {
	if namespace == defaultNamespace {
		return ""
	}
	return namespace + "/"
}

// maxObjectBytes is more than a ConfigMap takes, its binary data in base64.
const maxObjectBytes = 4 << 20

// source is the directory that the running mesh reads.
func (a *apply) source() (string, error) {
	client, err := dial(a.dataDir)
	if err != nil {
		return "", err
	}
	defer client.close()
	return client.paths.Source()
}
