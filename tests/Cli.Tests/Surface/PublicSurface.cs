using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>What a program may call: by reflection, so that nothing new is left out.</summary>
public static class PublicSurface
{
    /// <summary>The types of a library, or of a plugin, that have something to call: no interfaces, no enums.</summary>
    public static IEnumerable<Type> Types(string library) => Load(library).GetExportedTypes()
        .Where(type => (type.IsClass || type.IsValueType) && !type.IsEnum && !type.IsGenericTypeDefinition);

    /// <summary>Exceptions, attributes and records of plain values take what they are given.</summary>
    public static bool IsPlain(Type type) => type.IsAssignableTo(typeof(Exception)) || type.IsAssignableTo(typeof(Attribute)) || type.IsAssignableTo(typeof(Delegate)) || IsRecord(type);

    /// <summary>Whether a type's members are set one by one, by whoever makes it.</summary>
    public static bool IsRecord(Type type) => type.IsValueType
        ? type.GetMethod("PrintMembers", BindingFlags.Instance | BindingFlags.NonPublic) is not null && Members(type).Any()
        : type.GetMethod("<Clone>$") is not null && type.GetConstructors().Length != 0;

    /// <summary>Members of a record that can be set.</summary>
    public static IEnumerable<PropertyInfo> Members(Type record) => record.GetProperties().Where(static property => property.SetMethod is { IsPublic: true });

    /// <summary>What can be called of a library, and each argument of it.</summary>
    public static IEnumerable<(MethodBase Method, ParameterInfo Parameter)> Arguments(string library) =>
        from type in Types(library)
        where !IsPlain(type)
        from method in (MethodBase[])
        [
            .. type.GetConstructors(),
            .. type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly).Where(IsCalled),
        ]
        where method is MethodInfo { IsStatic: true } || !type.IsAbstract || (method is MethodInfo && Derived(type) is not null)
        from parameter in method.GetParameters()
        select (method, parameter);

    /// <summary>What a call with one wrong argument throws.</summary>
    public static Exception? Call(MethodBase method, ParameterInfo wrong, object? value, Func<Type, object?>? make = null)
    {
        make ??= Make;
        object?[] arguments = [.. method.GetParameters().Select(parameter => parameter.Position == wrong.Position ? value : make(parameter.ParameterType))];
        try
        {
            object? result = method is ConstructorInfo constructor
                ? constructor.Invoke(arguments)
                : method is MethodInfo spanning && TakesSpans(spanning) ? WithArrays(spanning)(spanning.IsStatic ? null : make(spanning.DeclaringType!), arguments)
                : method.Invoke(method.IsStatic ? null : make(method.DeclaringType!), arguments);
            (result as Task)?.GetAwaiter().GetResult();
            return null;
        }
        catch (TargetInvocationException called)
        {
            return called.InnerException;
        }
        catch (Exception exception)
        {
            return exception;
        }
    }

    /// <summary>Something that is there, though nothing may be in it: arguments are looked at before they are used.</summary>
    public static object? Make(Type type) => type switch
    {
        _ when type == typeof(string) => "x",
        { IsArray: true } => Array.CreateInstance(type.GetElementType()!, 0),
        { IsByRefLike: true } => Array.CreateInstance(type.GetGenericArguments()[0], 0),
        { IsByRef: true } => type.GetElementType()!.IsValueType ? Activator.CreateInstance(type.GetElementType()!) : null,
        { IsPointer: true } => null,
        { IsValueType: true } => Activator.CreateInstance(type),
        { IsInterface: true, IsGenericType: true } => type.IsAssignableFrom(type.GetGenericArguments()[0].MakeArrayType()) ? Array.CreateInstance(type.GetGenericArguments()[0], 0) : null,
        { IsInterface: true } => DispatchProxy.Create(type, typeof(Silent)),
        { IsAbstract: true } => Derived(type) is { } derived ? Make(derived) : null,
        _ when type.IsAssignableTo(typeof(Delegate)) => Nothing(type.GetMethod("Invoke")!, type),
        _ => RuntimeHelpers.GetUninitializedObject(type),
    };

    /// <summary>Whether whoever makes it sets its members one by one: records, and classes of options.</summary>
    public static bool IsCarrier(Type type) =>
        IsRecord(type) || (type is { IsClass: true, IsAbstract: false } && type.GetConstructor([]) is not null && Members(type).Any());

    /// <summary>The carriers that something public of the libraries takes, by itself or as a member of another one.</summary>
    public static IReadOnlyList<Type> TakenCarriers(IEnumerable<string> libraries)
    {
        var found = new HashSet<Type>();
        var left = new Queue<Type>(libraries.SelectMany(Arguments).Select(static one => Bare(one.Parameter.ParameterType)));
        while (left.TryDequeue(out Type? type))
        {
            if (type.Assembly.GetName().Name!.StartsWith("Moe.Plugins", StringComparison.Ordinal) && IsCarrier(type) && found.Add(type))
            {
                foreach (PropertyInfo member in Members(type))
                {
                    left.Enqueue(Bare(member.PropertyType));
                }
            }
        }

        return [.. found.OrderBy(static type => type.FullName, StringComparer.Ordinal)];
    }

    /// <summary>A copy of a carrier with another value of a member.</summary>
    public static object With(object carrier, PropertyInfo member, object? value)
    {
        object copy = carrier.GetType().GetMethod("<Clone>$")?.Invoke(carrier, null) ?? carrier;
        member.SetValue(copy, value);
        return copy;
    }

    // A plugin's own neighbours are here too.
    private static Assembly Load(string library)
    {
        string plugin = Path.Combine(AppContext.BaseDirectory, "plugins", library, $"{library}.dll");
        return File.Exists(plugin) ? new AssemblyLoadContext(library).LoadFromAssemblyPath(plugin) : Assembly.Load($"Moe.Plugins.{library}");
    }

    // What it is of: references, arrays, lists and the like hold it.
    private static Type Bare(Type type) => type switch
    {
        { HasElementType: true } => Bare(type.GetElementType()!),
        { IsGenericType: true } => type.IsAssignableTo(typeof(Delegate)) || type.GetGenericTypeDefinition() == typeof(IProgress<>) ? type : Bare(type.GetGenericArguments()[0]),
        _ => type,
    };

    private static bool IsCalled(MethodInfo method) => method is { IsAbstract: false, IsGenericMethodDefinition: false, IsSpecialName: false }
        && !method.IsDefined(typeof(CompilerGeneratedAttribute)) && !method.Name.StartsWith('<') && method.Name != nameof(Equals)
        && !method.DeclaringType!.Name.StartsWith('<');

    private static bool TakesSpans(MethodInfo method) => method.GetParameters().Any(static parameter => parameter.ParameterType.IsByRefLike);

    /// <summary>A call that is handed arrays for spans, which reflection cannot hand over.</summary>
    private static Func<object?, object?[], object?> WithArrays(MethodInfo method)
    {
        ParameterExpression on = Expression.Parameter(typeof(object)), arguments = Expression.Parameter(typeof(object[]));
        Expression call = Expression.Call(
            method.IsStatic ? null : Expression.Convert(on, method.DeclaringType!),
            method,
            method.GetParameters().Select(parameter =>
            {
                Expression argument = Expression.ArrayIndex(arguments, Expression.Constant(parameter.Position));
                Type type = parameter.ParameterType;
                return type.IsByRefLike
                    ? Expression.Convert(Expression.Convert(argument, type.GetGenericArguments()[0].MakeArrayType()), type)
                    : Expression.Convert(argument, type);
            }));
        Expression result = method.ReturnType == typeof(void) ? Expression.Block(call, Expression.Constant(null)) : Expression.Convert(call, typeof(object));
        return Expression.Lambda<Func<object?, object?[], object?>>(result, on, arguments).Compile();
    }

    private static Type? Derived(Type type) =>
        type.Assembly.GetTypes().FirstOrDefault(derived => derived.IsSubclassOf(type) && derived is { IsAbstract: false, ContainsGenericParameters: false });

    private static Delegate Nothing(MethodInfo call, Type type) => Expression
        .Lambda(type, Expression.Default(call.ReturnType), [.. call.GetParameters().Select(static parameter => Expression.Parameter(parameter.ParameterType))])
        .Compile();

    /// <summary>Answers every call with nothing.</summary>
    public class Silent : DispatchProxy
    {
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            targetMethod!.ReturnType is { IsValueType: true } type && type != typeof(void) ? Activator.CreateInstance(type) : null;
    }
}
