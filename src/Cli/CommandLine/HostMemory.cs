namespace Moe.Plugins.Cli;

/// <summary>This machine's memory, as far as this process may use it.</summary>
internal static class HostMemory
{
    /// <summary>Refuses work that needs more memory than there is: a system that overcommits ends the process instead.</summary>
    /// <exception cref="CommandException">It needs more.</exception>
    public static void Require(string what, double bytes)
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes > available)
        {
            throw new CommandException(
                ExitCode.BadInput, $"Out of memory: {what} takes {HumanText.Bytes((long)Math.Min(bytes, long.MaxValue))}, and this process may use {HumanText.Bytes(available)}.");
        }
    }
}
