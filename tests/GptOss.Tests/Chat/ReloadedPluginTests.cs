using Microsoft.Extensions.AI;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>A plugin is replaced while a model answers: it runs from the next answer on.</summary>
public sealed class ReloadedPluginTests
{
    /// <summary>Experts that add 1 everywhere, as the plugin is built, which drowns all else: the same token comes again and again.</summary>
    private const int Old = 1;

    /// <summary>Experts that add nothing: the sample babbles.</summary>
    private const int New = 0;

    private static readonly ChatOptions Options = new()
    {
        Seed = 5,
        MaxOutputTokens = 24,
        AdditionalProperties = new() { ["ignore_eos"] = true },
    };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Between_two_answers()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        Assert.Equal(await AnswerOf(Old), await Answer(sample));

        await Replace(folder, host, New);
        Assert.Equal(await AnswerOf(New), await Answer(sample));
        Assert.Equal("ANSWER-0000", sample.Model.ExpertSelections[0].Selected!.Message);
    }

    [Fact]
    public async Task Within_an_answer_which_keeps_its_version()
    {
        int[] first = await AnswerOf(Old), second = await AnswerOf(New);
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        int[] underWay = await Answer(sample, async count =>
        {
            if (count == 6)
            {
                await Replace(folder, host, New);
            }
        });

        // What another version would have said after the sixth token is something else.
        Assert.NotEqual(first[6..], second[6..]);
        Assert.Equal(first, underWay);
        Assert.Equal(second, await Answer(sample));
    }

    [Fact]
    public async Task Within_an_answer_while_others_wait()
    {
        int[] first = await AnswerOf(Old), second = await AnswerOf(New);
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        Task<int[]>? waiting = null;
        int[] underWay = await Answer(sample, async count =>
        {
            if (count == 3)
            {
                waiting = Task.Run(() => Answer(sample));
                await Replace(folder, host, New);
            }
        });
        Assert.Equal(first, underWay);
        Assert.Equal(second, await waiting!);
    }

    [Fact]
    public async Task The_version_before_is_unloaded_once_nothing_runs_it()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        WeakReference old = Assert.Single(Contexts.LoadedFrom(folder.Drop.Staging));
        await Answer(sample);
        await Replace(folder, host, New);
        GC.Collect();
        Assert.True(old.IsAlive);
        await Answer(sample);
        Assert.True(Contexts.Dies(old));
    }

    [Fact]
    public async Task A_broken_version_leaves_the_one_before_in_place()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        folder.RenameOver(WorkingFolder.Broken());
        Assert.Equal(MoeReloadOutcome.Kept, Assert.Single(await host.ReloadChangedAsync(Cancellation)).Outcome);
        Assert.Equal(await AnswerOf(Old), await Answer(sample));
    }

    [Fact]
    public async Task The_Cpu_backend_reads_its_weights_again()
    {
        using DropFolder folder = new DropFolder().WithFolder(Path.Combine(AppContext.BaseDirectory, "plugins", "Cpu"));
        await using MoeHost host = folder.Load();
        using var sample = new Sample(host);
        int[] before = await Answer(sample);
        Assert.Equal(0, sample.Model.RefreshExperts(Cancellation));

        // Another content of the folder is another version.
        folder.WithFile("Cpu", "notes.txt", [1]);
        Assert.Equal(MoeReloadOutcome.Replaced, Assert.Single(await host.ReloadChangedAsync(Cancellation)).Outcome);
        MoeSelectionReport old = sample.Model.ExpertSelections[0];
        ChatResponse after = await sample.Client.GetResponseAsync("Hello?", Options, Cancellation);
        Assert.NotSame(old, sample.Model.ExpertSelections[0]);

        // What the version before computed of the same prompt is not used.
        Assert.Equal(0, after.Usage!.CachedInputTokenCount);
        Assert.Equal(before, await Answer(sample));
    }

    /// <summary>What a program says that only ever had one version of the plugin.</summary>
    private static async Task<int[]> AnswerOf(int version)
    {
        using var folder = new WorkingFolder();
        folder.RenameOver(WorkingFolder.Version(version));
        await using MoeHost host = folder.Drop.Load();
        using var sample = new Sample(host);
        return await Answer(sample);
    }

    private static async Task<int[]> Answer(Sample sample, Func<int, Task>? afterToken = null)
    {
        List<int> tokens = [];
        await foreach (ChatResponseUpdate update in sample.Client.GetStreamingResponseAsync("Hello?", Options, Cancellation))
        {
            if (update.RawRepresentation is int token)
            {
                tokens.Add(token);
                await (afterToken?.Invoke(tokens.Count) ?? Task.CompletedTask);
            }
        }

        Assert.Equal(Options.MaxOutputTokens, tokens.Count);
        return [.. tokens];
    }

    private static async Task Replace(WorkingFolder folder, MoeHost host, int version)
    {
        folder.RenameOver(WorkingFolder.Version(version));
        Assert.Equal(MoeReloadOutcome.Replaced, Assert.Single(await host.ReloadChangedAsync(Cancellation)).Outcome);
    }
}
