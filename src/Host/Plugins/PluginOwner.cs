using System.Runtime.ExceptionServices;

namespace Moe.Plugins;

/// <summary>Whose code runs: what it throws is wrapped in an exception that names the plugin.</summary>
internal sealed record PluginOwner(string Id, string Version)
{
    /// <summary>
    /// Calls into a plugin. Where there is no owner, the caller made the method and sees what it throws as it is, as it sees the end that it asked for.
    /// </summary>
    public static T Call<T>(PluginOwner? owner, string doing, Func<T> call, CancellationToken cancellationToken = default)
    {
        try
        {
            return call();
        }
        catch (Exception exception) when (owner is not null && !IsAsked(exception, cancellationToken))
        {
            throw owner.Wrap(exception, doing);
        }
    }

    /// <summary>Frees what is a plugin's. What fails at freeing its own does not keep the rest from being freed; the first fault is thrown then.</summary>
    public static void Free(PluginOwner? owner, string doing, IEnumerable<IDisposable?> parts)
    {
        Exception? first = null;
        foreach (IDisposable? part in parts)
        {
            try
            {
                part?.Dispose();
            }
            catch (Exception exception)
            {
                first ??= exception;
            }
        }

        if (first is not null)
        {
            ExceptionDispatchInfo.Throw(first is MoePluginException ? first : owner?.Wrap(first, doing) ?? first);
        }
    }

    /// <summary>The exception to throw instead.</summary>
    public MoePluginException Wrap(Exception exception, string doing) => Wrap(Fault.Read(exception), doing);

    /// <summary>The exception to throw instead of one that was read.</summary>
    public MoePluginException Wrap(Fault fault, string doing) =>
        new(this, fault.Reason, $"Plugin {Id} {Version} failed while {doing}: {fault.Sentence}", fault.Shown);

    // A plugin's own time-outs are cancellations too, and are its faults.
    private static bool IsAsked(Exception exception, CancellationToken cancellationToken) =>
        exception is OperationCanceledException && cancellationToken.IsCancellationRequested;
}
