package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

func newPolicyNew() *cobra.Command {
	template := author.Template{}
	command := &cobra.Command{
		Use:     "new --lang go|rust|as|c NAME",
		Short:   "Start a policy: a folder with source and scenarios",
		Example: "  wasmesh policy new --lang rust --hook place nearest-first",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			template.Dir = args[0]
			if err := author.New(template); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s is a policy that decides %s. Next:\n  wasmesh policy build %[1]s\n  wasmesh policy test %[1]s\n",
				template.Dir, template.Hook)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&template.Language, "lang", "", "language: "+strings.Join(author.Languages(), ", "))
	flags.StringVar(&template.Hook, "hook", policyabi.HookEvict.String(), "what it decides: "+strings.Join(author.Hooks(), ", "))
	// These fail only for a flag that does not exist.
	_ = command.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(author.Languages(), cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("hook", completeHooks)
	return command
}

var completeHooks = cobra.FixedCompletions(author.Hooks(), cobra.ShellCompDirectiveNoFileComp)

func newPolicyBuild() *cobra.Command {
	output := ""
	command := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a policy into DIR/NAME.wasm",
		Long: `build compiles the policy in DIR, the present directory unless said otherwise. Go is built with the go command. The
compilers of C, AssemblyScript and Rust are pinned: they are downloaded once, checked against digests, and kept in the
user's cache, so that equal sources make equal modules everywhere.`,
		Example: "  wasmesh policy build oldest-first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			module, err := author.Build(command.Context(), command.ErrOrStderr(), directory(args), output)
			if err != nil {
				return err
			}
			content, err := os.ReadFile(module)
			if err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: %d bytes\n", module, len(content))
			// What the mesh would refuse, such as an import, is told at once.
			return withModule(command, []string{module}, func(*policytest.Module, string) error { return nil })
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file to write")
	return command
}

func newPolicyTest() *cobra.Command {
	scenarios := ""
	command := &cobra.Command{
		Use:   "test [DIR|FILE.wasm]",
		Short: "Hold a policy to the mesh's rules and to its scenarios",
		Long: `test holds a module to what the mesh asks of it before it is used: it answers requests that are empty, large, extreme,
and of older and newer hosts, within half of its budget and always the same. Then it runs the scenarios in the folder
scenarios beside it. What fails is printed as a table, and the exit status is 1.`,
		Example: "  wasmesh policy test oldest-first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return withModule(command, args, func(module *policytest.Module, dir string) error {
				if scenarios != "" {
					dir = scenarios
				}
				return author.Test(command.Context(), command.OutOrStdout(), module, dir)
			})
		},
	}
	command.Flags().StringVar(&scenarios, "scenarios", "", "directory that has the folder scenarios, if not the module's")
	return command
}

func newPolicyBench() *cobra.Command {
	config := ""
	command := &cobra.Command{
		Use:     "bench [DIR|FILE.wasm]",
		Short:   "Print the fuel and the time of decisions by number of rows",
		Example: "  wasmesh policy bench oldest-first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return withModule(command, args, func(module *policytest.Module, _ string) error {
				content, err := optionalFile(config)
				if err != nil {
					return err
				}
				return author.Bench(command.Context(), command.OutOrStdout(), module, content)
			})
		},
	}
	command.Flags().StringVar(&config, "config", "", "file with the policy's configuration")
	return command
}

func newPolicyInspect() *cobra.Command {
	return &cobra.Command{
		Use:     "inspect [DIR|FILE.wasm]",
		Short:   "Show hooks, size, digest, memory and imports of a module, without running it",
		Example: "  wasmesh policy inspect oldest-first/oldest-first.wasm",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return withModule(command, args, func(module *policytest.Module, _ string) error {
				return author.Inspect(command.OutOrStdout(), module.Info(), module.Wasm())
			})
		},
	}
}
