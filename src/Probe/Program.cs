using System.Reflection;

// The process in which the host tries a plugin. All of the work is the host library's own, of the very version that the program has: this
// is only a way in, and lies beside that library. By name and not by reference, because the library brings this program along.
MethodInfo run = Assembly.Load("Moe.Plugins.Host")
    .GetType("Moe.Plugins.ProbeProcess", throwOnError: true)!
    .GetMethod("Run", BindingFlags.Static | BindingFlags.Public)!;
return (int)run.Invoke(null, [args])!;
