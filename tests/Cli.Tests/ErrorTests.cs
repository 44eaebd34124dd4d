namespace Moe.Plugins.Cli.Tests;

public sealed class ErrorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> BadInput => new()
    {
        { "run --tokens 0", "--tokens is '0'" },
        { "run --tokens x", "--tokens is 'x'" },
        { "run --tokens 18", "17 tokens" },
        { "run --layer 99", "--layer 99" },
        { "run --seed -1", "--seed" },
        { "run --shape 1,2,3", "'1,2,3' is not a shape" },
        { "run --shape 4,33,64,2", "multiple of 32" },
        { "run --shape 4,64,64,5", "top-k is 5" },
        { "run --shape gpt-oss-20b --layer 1", "--layer" },
        { "run --shape gpt-oss-20b --model x", "--model and --shape" },
        { "run --model /none.safetensors", "/none.safetensors" },
        { "run --model GOLDEN/../Cli.Tests.dll", "no safetensors file" },
        { "run --output-type f64", "bf16 or f32" },
        { "run --device gpu", "--device is 'gpu'" },
        { "run --plugins /none", "/none" },
        { "run --output /none/x.safetensors", "/none/x.safetensors" },
        { "run --frob", "'--frob' is not an option of moe run" },
        { "run --tokns 4", "Did you mean '--tokens'?" },
        { "bench --routing GOLDEN/tiny.safetensors --tokens 1 --shape 8,64,64,2", "tiny.safetensors' has no tensor 'topk_ids'; " },
        { "bench comapre a b", "Did you mean 'compare'?" },
        { "benhc", "'benhc' is not a command of moe. Did you mean 'bench'?" },
        { "run --output-type b16", "Did you mean 'bf16'?" },
        { "run --shape gpt-os-20b", "Did you mean 'gpt-oss-20b'?" },
        { "bench --weights mxpf4", "Did you mean 'mxfp4'?" },
        { "bench --routing skewd", "Did you mean 'skewed'?" },
        { "verify Cpu --rule numeric", "Did you mean 'numerics'?" },
        { "run --model EMPTY", "--model is empty" },
        { "run --output EMPTY", "--output is empty" },
        { "run --backend EMPTY", "--backend is empty" },
        { "run --plugins EMPTY", "--plugins is ''" },
        { "run --shape EMPTY", "'' is not a shape" },
        { "inspect EMPTY", "FILE|FOLDER is empty" },
        { "verify EMPTY", "PLUGIN.dll|NAME is empty" },
        { "verify Cpu --html EMPTY", "--html is empty" },
        { "verify Cpu --html /none/x.html", "its folder does not exist" },
        { "plugins trust EMPTY", "FOLDER is empty" },
        { "plugins trust x --lock EMPTY", "--lock is empty" },
        { "plugins release EMPTY", "ID is empty" },
        { "bench compare EMPTY EMPTY", "A.json is empty" },
        { "bench plot EMPTY", "RESULT.json is empty" },
        { "bench --output EMPTY", "--output is empty" },
        { "new EMPTY", "NAME is empty" },
        { "inspect @/dev/zero", "'@/dev/zero' cannot be read" },
        { "@/none", "'@/none' is not a command of moe" },
        { "run --output LONG", "its name is too long" },
        { "run --model LONG", "nnnnn" },
        { "new x --output LONG", "nnnnn" },
        { "run --output GOLDEN", "it is a folder" },
        { "bench model --model /none --output GOLDEN", "it is a folder" },
        { "bench model --model /none --plot GOLDEN", "it is a folder" },
        { "bench --shape 4,64,64,2 --backend Cpu --seconds 0.1 --tokens 1 --output /dev/full", "'/dev/full' cannot be written" },
        { "bench parallel --devices cpu,cpu --shape 4,64,64,2 --backend Cpu --seconds 0.1 --tokens 1 --only layers --output /dev/full", "'/dev/full' cannot be written" },
        { "bench compare GOLDEN GOLDEN", "it is a folder" },
        { "run --shape 2147483647,2147483616,2147483616,1", "hidden size is 2147483616; at most 1073741823" },
        { "run --shape 1,32,2147483616,1", "intermediate size is 2147483616; at most 1073741823" },
        { "run --shape 2147483647,1073741792,1073741792,1", "more weights than a machine can hold" },
        { "run --shape 100000,28800,28800,1", "Out of memory" },
        { "run --shape 1,1073741823,1,1:bf16 --tokens 1000", "with 1000 tokens takes 8" },
        { "bench --shape 1,1073741823,1,1:bf16 --tokens 1000 --backend Cpu", "with 1000 tokens takes 8" },
        { "run --tokens 2147483647 --shape 4,64,64,2", "Out of memory" },
        { "bench --shape 100000,28800,28800,1 --backend Cpu", "Out of memory" },
        { "backends --watch 999999999", "from 1 to 86400" },
        { "bench --seconds 1000000", "--seconds is '1000000'" },
        { "run --shape 8,96,160,2 --backend Cpu --tensor-parallel 6", "the last of 6 tensor ranks" },
        { "run --shape 8,96,160,2 --backend Cpu --expert-parallel 9", "the last of 9 expert ranks" },
        { "run --shape 8,96,160,2 --tensor-parallel 9 --expert-parallel 9", "81 ranks" },
        { "bench parallel --ranks 2 --devices cpu,cpu,cpu", "--devices has 3; one for each of the 2 ranks is expected" },
        { "run --tensor-parallel 0", "--tensor-parallel is '0'" },
        { "generate --prompt x --threads 1000000", "Threads is 1000000; 0 to 1024 is expected" },
        { "generate --model GOLDEN/tiny.safetensors", "tiny.safetensors' is a file; the model's folder is expected" },
        { "make-model GOLDEN/tiny.safetensors", "tiny.safetensors' is a file; a new or empty folder is expected" },
        { "make-model /none/x --size huge", "gpt-oss-20b, gpt-oss-120b, tiny or sample is expected" },
        { "make-model /none/x --layers 2 --stored-layers 3", "--stored-layers is '3', but the model has only 2 layers" },
        { "make-model /none/x --size sample --stored-layers 1", "the sample has weights for each of its layers" },
        { "inspect", "error: moe inspect needs FILE|FOLDER.\n" },
        { "quantize", "error: moe quantize needs FILE|FOLDER, --to and --output.\n" },
        { "quantize x --to", "error: moe quantize needs --to and --output.\n" },
        { "bench compare a", "error: moe bench compare needs B.json.\n" },
        { "plugins", "error: moe plugins needs a command: trust or release.\n" },
        { "run --output", "error: --output needs FILE.\n" },
        { "generate --prompt EMPTY", "--prompt is empty; a question is expected." },
        { "inspect /none", "/none" },
        { "backends --shape 0,0,0,0", "--shape" },
    };

    [Theory]
    [MemberData(nameof(BadInput))]
    public async Task Bad_input_is_named(string arguments, string word)
    {
        string[] words =
        [
            .. arguments
                .Replace("GOLDEN", Path.Combine(AppContext.BaseDirectory, "golden"), StringComparison.Ordinal)
                .Replace("LONG", Path.Combine(_folder.Path, new string('n', 300)), StringComparison.Ordinal)
                .Split(' ')
                .Select(word => word == "EMPTY" ? "" : word),
        ];
        Cli result = await Cli.Run(words);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("error:", result.Error, StringComparison.Ordinal);
        Assert.Contains(word, result.Error, StringComparison.Ordinal);
        Assert.InRange(result.Error.Split('\n').Length, 1, 5);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_group_is_answered_with_the_plugins_that_are_there()
    {
        Cli result = await Cli.Run("bench", "parallel", "--devices", "cpu,cpu", "--group", "Cpux");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("--group is 'Cpux', which was not found. Did you mean 'Cpu'? Found: ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_group_whose_plugin_could_not_be_made_says_why()
    {
        Cli result = await Cli.RunProgramIn([("Moe__Plugins__Collectives_Cuda__Table", "/")], "bench", "parallel", "--group", "Collectives.Cuda");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("Collectives.Cuda: Moe:Plugins:Collectives.Cuda:Table: '/' cannot be read: it is a folder", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("run", "--backend", "Cpu")]
    [InlineData("bench", "--backend", "Cpu", "--tokens", "1")]
    [InlineData("verify", "Cpu")]
    public async Task A_wrong_setting_of_a_backend_is_bad_input_like_every_other(params string[] command)
    {
        Cli result = await Cli.RunProgramIn([("Moe__Plugins__Cpu__Nodes", "banana")], command);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("Moe:Plugins:Cpu:Nodes is 'banana'", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("bench")]
    [InlineData("generate", "--prompt", "Hello")]
    public async Task An_unknown_backend_is_answered_with_the_ones_that_are_there(params string[] command)
    {
        Cli result = await Cli.Run([.. command, "--backend", "Cpux"]);
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("error: --backend names the backend 'Cpux', which was not found. Did you mean 'Cpu'? Found: ", result.Error, StringComparison.Ordinal);
        Assert.Equal("", result.Output);
    }

    [Fact]
    public async Task A_backend_without_kernels_is_answered_with_those_that_have_some()
    {
        Cli result = await Cli.Run("kernels", "--backend", "Cpu");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("not a backend with kernels to compile. Those that have some: ", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(" Cpu", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_backend_of_the_configuration_is_said_once_with_the_ones_that_are_there()
    {
        Cli result = await Cli.RunProgramIn([("Moe__Backend", "Nobody")], "run");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.StartsWith("error: Moe:Backend names the backend 'Nobody', which was not found. Found: ", result.Error, StringComparison.Ordinal);
        Assert.Single(result.Error.TrimEnd().Split('\n'));
    }

    [Theory]
    [InlineData("run")]
    [InlineData("generate", "--prompt", "hi", "--max-tokens", "1")]
    public async Task A_pattern_of_the_configuration_that_matches_no_layer_is_said_once(params string[] command)
    {
        Cli result = await Cli.RunProgramIn([("Moe__Layers__lm_head", "Cpu")], command);
        Assert.Equal(ExitCode.Ok, result.ExitCode);
        string line = Assert.Single(result.Error.Split('\n'), line => line.Contains("Moe:Layers:lm_head", StringComparison.Ordinal));
        Assert.StartsWith("warning: Moe:Layers:lm_head matches no layer of '", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ranks_that_no_plugin_joins_are_named()
    {
        Cli result = await Cli.RunProgramIn([], "bench", "parallel", "--devices", "cuda:97,cuda:98");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("error: No plugin has a group of cuda:97, cuda:98 to measure; --devices names others, such as cpu,cpu.", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("verify Cpu")]
    [InlineData("bench --tokens 1")]
    [InlineData("bench padding")]
    [InlineData("bench parallel")]
    [InlineData("bench model")]
    [InlineData("kernels")]
    [InlineData("generate")]
    public async Task A_folder_without_plugins_is_said_once(string command)
    {
        Cli result = await Cli.Run([.. command.Split(' '), "--plugins", _folder.Path, "--json"]);
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        string line = Assert.Single(result.Error.TrimEnd().Split('\n'));
        Assert.StartsWith($"error: No MoE backend was found. Looked in: {_folder.Path}. Add", line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("run --backend Nobody")]
    [InlineData("verify Nobody")]
    [InlineData("bench --backend Nobody")]
    [InlineData("bench padding --backend Nobody")]
    [InlineData("bench model --backend Nobody")]
    [InlineData("kernels --backend Nobody")]
    [InlineData("generate --backend Nobody")]
    public async Task An_unknown_backend_has_the_exit_code_that_help_says(string command)
    {
        Cli result = await Cli.Run([.. command.Split(' '), "--json"]);
        Assert.Equal(3, result.ExitCode);
        Assert.Contains("'Nobody'", result.Error, StringComparison.Ordinal);
        Assert.Contains("3 no backend can run it, or the named one is not there", (await Cli.RunAt(1000, "--help")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_is_no_error()
    {
        Cli result = await Cli.Run("run", "--help");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("moe run", result.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await Cli.Run()).ExitCode);
    }

    /// <summary>Nobody named the backend that failed, and nobody is told that he had; what else can run the layer is said.</summary>
    [Theory]
    [InlineData(false, "Backend Misbehaving was chosen and could not make the layer: Plugin Misbehaving 0.1.0 failed while making the layer's weights: InvalidOperationException: thrown at weights (--backend names another one: Cpu)")]
    [InlineData(true, "Backend Misbehaving, which --backend names, cannot run the layer (Failed, Threw): Plugin Misbehaving 0.1.0 failed while making the layer's weights: InvalidOperationException: thrown at weights")]
    public async Task A_backend_that_cannot_make_the_layer_is_an_error_which_says_who_chose_it(bool isNamed, string expected)
    {
        string plugins = Path.Combine(_folder.Path, "plugins");
        foreach (string plugin in (string[])["fixtures/Misbehaving", "plugins/Cpu"])
        {
            string folder = Directory.CreateDirectory(Path.Combine(plugins, Path.GetFileName(plugin))).FullName;
            foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, plugin)))
            {
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            }
        }

        Cli result = await Cli.RunProgramIn(
            [("Moe__Plugins__Misbehaving__mode", "weights:throw"), ("Moe__StagingFolder", Path.Combine(_folder.Path, "staging"))],
            ["run", "--shape", "4,64,64,2", "--plugins", plugins, .. isNamed ? (string[])["--backend", "Misbehaving"] : []]);
        Assert.Equal(ExitCode.Failed, result.ExitCode);
        Assert.Equal($"error: {expected}", result.Error.Trim());
    }

    public void Dispose() => _folder.Dispose();
}
