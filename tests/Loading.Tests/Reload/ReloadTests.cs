using System.Runtime.CompilerServices;

namespace Moe.Plugins.Tests;

/// <summary>A plugin is replaced while its layers run.</summary>
public sealed class ReloadTests
{
    public enum Way
    {
        RenameOver,
        OverwriteInPlace,
        DeleteThenCreate,
    }

    [Theory]
    [InlineData(Way.RenameOver)]
    [InlineData(Way.OverwriteInPlace)]
    [InlineData(Way.DeleteThenCreate)]
    public async Task New_layers_run_the_new_version_while_old_ones_go_on_with_theirs(Way way)
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using MoeLayer old = WorkingFolder.CreateLayer(host);
        using var stop = new CancellationTokenSource();
        using var begun = new ManualResetEventSlim();

        // A thread of its own: the pool's may all be busy with other tests.
        Task<int> forwards = Task.Factory.StartNew(
            () => RunUntil(old, begun, stop.Token), TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        begun.Wait(TestContext.Current.CancellationToken);

        for (int version = 2; version <= 4; version++)
        {
            Put(folder, way, WorkingFolder.Version(version));
            MoeReloadReport report = await host.ReloadAsync("working", TestContext.Current.CancellationToken);
            Assert.Equal(MoeReloadOutcome.Replaced, report.Outcome);
            using MoeLayer next = WorkingFolder.CreateLayer(host);
            Assert.Equal(version, WorkingFolder.Run(next));
        }

        await stop.CancelAsync();
        Assert.True(await forwards > 0);
        Assert.Equal(1, WorkingFolder.Run(old));
        Assert.Equal("Working", Assert.Single(host.Plugins).Id);
    }

    [Fact]
    public async Task The_old_context_dies_with_its_last_layer_and_not_before()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        MoeLayer one = WorkingFolder.CreateLayer(host);
        MoeLayer two = WorkingFolder.CreateLayer(host);
        WeakReference context = Assert.Single(Contexts.LoadedFrom(folder.Drop.Staging));

        folder.RenameOver(WorkingFolder.Version(2));
        await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        one.Dispose();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.True(context.IsAlive);
        Assert.Equal(1, WorkingFolder.Run(two));

        // The variables still refer to the layers: a disposed layer keeps nothing of its plugin.
        two.Dispose();
        Assert.True(Contexts.Dies(context));
        Assert.Throws<ObjectDisposedException>(() => WorkingFolder.Run(two));
        GC.KeepAlive(one);
    }

    [Fact]
    public async Task Without_a_layer_the_old_context_dies_at_once()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        WeakReference context = Assert.Single(Contexts.LoadedFrom(folder.Drop.Staging));
        folder.RenameOver(WorkingFolder.Version(2));
        await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        Assert.True(Contexts.Dies(context));
    }

    [Theory]
    [InlineData("garbage", MoeReason.NotAPlugin)]
    [InlineData("other", MoeReason.Trust)]
    [InlineData("none", MoeReason.NotFound)]
    [InlineData("no folder", MoeReason.NotFound)]
    [InlineData("throws", MoeReason.Threw)]
    public async Task A_broken_replacement_keeps_the_old_version_and_says_why(string replacement, MoeReason reason)
    {
        using var folder = new WorkingFolder();
        using var log = new ListLog();
        await using MoeHost host = MoeHost.Create(folder.Drop.Options, log);
        switch (replacement)
        {
            case "garbage":
                folder.OverwriteInPlace([1, 2, 3]);
                break;
            case "other":
                folder.RenameOver(File.ReadAllBytes(Path.Combine(DropFolder.FixtureOf("Good"), "Good.dll")));
                break;
            case "throws":
                folder.RenameOver(WorkingFolder.Broken());
                break;
            case "no folder":
                Directory.Delete(Path.GetDirectoryName(folder.Assembly)!, recursive: true);
                break;
            default:
                File.Delete(folder.Assembly);
                break;
        }

        MoeReloadReport report = await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        Assert.Equal((MoeReloadOutcome.Kept, reason), (report.Outcome, report.Plugin.Reason));
        Assert.Contains(log.Lines, line => line.Id == 12 && line.Text == report.Sentence);
        Assert.Contains("is kept", report.Sentence, StringComparison.Ordinal);
        Assert.Equal(MoeCandidateState.Activated, Assert.Single(host.Plugins).State);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        Assert.Equal(1, WorkingFolder.Run(layer));

        folder.DeleteThenCreate(WorkingFolder.Version(2));
        Assert.Equal(MoeReloadOutcome.Replaced, (await host.ReloadAsync("Working", TestContext.Current.CancellationToken)).Outcome);
    }

    [Fact]
    public async Task A_host_that_is_gone_reloads_nothing()
    {
        using var folder = new WorkingFolder();
        MoeHost host = folder.Drop.Load();
        await host.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => host.ReloadAsync("Working", TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task What_did_not_change_is_left_as_it_is()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        WeakReference context = Assert.Single(Contexts.LoadedFrom(folder.Drop.Staging));
        File.SetLastWriteTimeUtc(folder.Assembly, DateTime.UtcNow.AddHours(1));
        Assert.Equal(MoeReloadOutcome.Unchanged, (await host.ReloadAsync("Working", TestContext.Current.CancellationToken)).Outcome);
        Assert.True(context.IsAlive);
        Assert.Empty(await host.ReloadChangedAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Looking_for_changes_finds_what_changed_and_what_was_added_once()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        folder.Drop.With("Good");
        folder.OverwriteInPlace([1, 2, 3]);

        IReadOnlyList<MoeReloadReport> reports = await host.ReloadChangedAsync(TestContext.Current.CancellationToken);
        Assert.Equal([("Good", MoeReloadOutcome.Replaced), ("Working", MoeReloadOutcome.Kept)], reports.Select(r => (r.Id, r.Outcome)));
        Assert.Empty(await host.ReloadChangedAsync(TestContext.Current.CancellationToken));
        folder.OverwriteInPlace(WorkingFolder.Version(2));
        Assert.Equal(MoeReloadOutcome.Replaced, Assert.Single(await host.ReloadChangedAsync(TestContext.Current.CancellationToken)).Outcome);
        Assert.Equal("ANSWER-0002", host.Explain(TinyLayer.Request with { Backend = "Working" }).Selected!.Message);
    }

    [Fact]
    public async Task A_plugin_that_was_broken_at_the_start_is_active_once_it_is_repaired()
    {
        using var folder = new WorkingFolder();
        folder.OverwriteInPlace([1, 2, 3]);
        await using MoeHost host = folder.Drop.Load();
        Assert.Equal(MoeCandidateState.Rejected, Assert.Single(host.Plugins).State);
        folder.RenameOver(WorkingFolder.Version(2));
        MoeReloadReport report = await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        Assert.Equal(MoeReloadOutcome.Replaced, report.Outcome);
        Assert.Equal(MoeCandidateState.Activated, Assert.Single(host.Plugins).State);
    }

    [Fact]
    public async Task An_unknown_id_is_an_error_that_says_what_is_there()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        MoeException exception = await Assert.ThrowsAsync<MoeException>(
            () => host.ReloadAsync("Workin", TestContext.Current.CancellationToken));
        Assert.Contains("Did you mean 'Working'?", exception.Message, StringComparison.Ordinal);
    }

    private static void Put(WorkingFolder folder, Way way, byte[] content)
    {
        switch (way)
        {
            case Way.RenameOver:
                folder.RenameOver(content);
                break;
            case Way.OverwriteInPlace:
                folder.OverwriteInPlace(content);
                break;
            default:
                folder.DeleteThenCreate(content);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int RunUntil(MoeLayer layer, ManualResetEventSlim begun, CancellationToken stop)
    {
        int count = 0;
        while (!stop.IsCancellationRequested)
        {
            begun.Set();
            Assert.Equal(1, WorkingFolder.Run(layer));
            count++;
        }

        return count;
    }
}
